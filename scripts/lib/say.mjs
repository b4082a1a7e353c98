// What a script is doing, in plain lines with times.

export const say = line => console.log(line)

/** A failure that a person can act upon: its message is all that is printed. */
export class Stop extends Error {}

/** Says what begins and what has ended, and how long it took. */
export async function step(name, work) {
  say(`▸ ${name} …`)
  const started = performance.now()
  const result = await work()
  say(`✓ ${name} (${((performance.now() - started) / 1000).toFixed(1)} s)`)
  return result
}

/** Runs a script; what stops it is said once, and makes the exit code 1. */
export async function main(script) {
  try {
    await script()
  } catch (error) {
    console.error(error instanceof Stop ? `✗ ${error.message}` : error)
    process.exitCode = 1
  }
}
