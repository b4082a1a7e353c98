/** What a call of a decoder costs: its time, which is told, and its memory, which has a bound. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll } from 'vitest'

setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc') as (options: { readonly type: 'minor' }) => void

/** Times calls, and tells the longest of each decoder when the tests of the file are over. Time is never a verdict. */
export function createStopwatch(): <T>(decoder: string, call: () => T) => T {
  const slowest = new Map<string, number>()
  afterAll(() => {
    for (const [decoder, ms] of slowest) console.info(`${decoder}: the slowest call took ${ms.toFixed(1)} ms`)
  })
  return (decoder, call) => {
    const begun = performance.now()
    try {
      return call()
    } finally {
      slowest.set(decoder, Math.max(slowest.get(decoder) ?? 0, performance.now() - begun))
    }
  }
}

/**
 * Bytes that a call has allocated by its end, on the heap and beside it: what it returns, and what it let go of. (A
 * collection in its middle can make it less, and never more.)
 */
export function allocatedBy(call: () => unknown): number {
  gc({ type: 'minor' }) // 1 ms, and a whole one 50 (Node 20)
  const before = inUse()
  const made = [call()]
  const allocated = inUse() - before
  made.length = 0 // what it returned was alive until here
  return allocated
}

function inUse(): number {
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

/** How much there is of a value, the same on every machine: characters, bytes, and a few for each value. */
export function sizeOf(value: unknown): number {
  const met = new Set<object>()
  let size = 0
  const waiting = [value]
  while (waiting.length > 0) {
    const one = waiting.pop()
    size += 1
    if (typeof one === 'string') size += one.length
    else if (typeof one === 'bigint') size += one.toString(16).length
    else if (ArrayBuffer.isView(one)) size += one.byteLength
    else if (typeof one === 'object' && one !== null && !met.has(one)) {
      met.add(one)
      if (one instanceof Set) for (const member of one) waiting.push(member)
      else if (one instanceof Map) for (const [name, member] of one) waiting.push(name, member)
      else for (const [name, member] of Object.entries(one)) waiting.push(name, member)
    }
  }
  return size
}
