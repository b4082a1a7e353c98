/** A program of Node's ends when it is done, and not while it waits for a subscription to come back. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { eventually } from 'trpc-sluice/testing'
import { expect, test } from 'vitest'
import { startServer } from './server.ts'

const program = fileURLToPath(new URL('program.ts', import.meta.url))

function run(...args: string[]) {
  const child = spawn(process.execPath, ['--import', 'tsx', program, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let printed = ''
  child.stdout.on('data', chunk => (printed += String(chunk)))
  const exited = once(child, 'exit').then(([code]) => code as number | null)
  return { child, exited, printed: () => printed, [Symbol.dispose]: () => void child.kill('SIGKILL') }
}

test.each(['websocket', 'sse'] as const)(
  'over %s, one that has its answer ends by itself',
  async transport => {
    await using server = await startServer('Sluice')
    using program = run('query', server.url, transport)
    expect(await program.exited).toBe(0)
    expect(program.printed()).toBe('answer 5\n')
  },
)

test.each(['websocket', 'sse'] as const)(
  'over %s, one that waits for a lost server waits, and ends with its subscription',
  async transport => {
    await using server = await startServer('Sluice')
    using program = run('follow', server.url, transport)
    server.log.publish(1)
    await eventually(() => program.printed() === 'event 1\n')
    await server.stop()
    // Its own timers are all that could keep it alive now: long enough for several attempts.
    await Promise.race([program.exited, new Promise(resolve => setTimeout(resolve, 500))])
    expect(program.child.exitCode).toBeNull()
    await server.start()
    server.log.publish(2)
    expect(await program.exited).toBe(0)
    expect(program.printed()).toBe('event 1\nevent 2\n')
  },
)
