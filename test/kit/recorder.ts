/** States what a subscriber saw: how many, which were missing, repeated or out of order. */
import { defaultWithinMs } from './deadline.ts'

export interface RecorderOptions<T> {
  /**
   * The number of an item, by which it is told what is missing, repeated or out of order; undefined for an item that
   * does not count. Default: the item if it is a number, else its `n`, else the same of its `data` (a tracked item).
   */
  readonly numberOf?: (item: T) => number | undefined
  /** Added to the message of a missed deadline: the state of the connection, say. */
  readonly explain?: () => string
}

export interface UntilOptions {
  /** Milliseconds until it gives up; default 10,000. */
  readonly withinMs?: number
}

/** What a subscriber saw, by the numbers of the items. */
export interface Report {
  /** Items that have a number, repeats included. */
  readonly delivered: number
  readonly missing: readonly number[]
  /** Each as often as it came too much. */
  readonly repeated: readonly number[]
  /** Those that came for the first time after a greater one. */
  readonly outOfOrder: readonly number[]
}

export interface Recorder<T> {
  /** Everything pushed so far, in order. */
  readonly items: readonly T[]
  /** The numbers of those that have one. */
  readonly numbers: readonly number[]
  /** Takes an item; a function of its own, to be handed over as a callback. */
  readonly push: (item: T) => void
  /** No more will come: whoever still waits is told so, with the error if there is one. */
  readonly end: (error?: unknown) => void
  /**
   * Settles when so many numbered items were delivered, or when the predicate is true of all items; at once if that
   * is so already.
   *
   * @throws Error when the deadline is missed or the items ended before, saying what was seen.
   */
  until(wanted: number | ((items: readonly T[]) => boolean), options?: UntilOptions): Promise<void>
  /**
   * @param expected the numbers that should have come, or how many: `report(3)` expects 1, 2 and 3. Default: all from
   *   the least to the greatest number seen.
   */
  report(expected?: number | Iterable<number>): Report
}

export function createRecorder<T = unknown>(options: RecorderOptions<T> = {}): Recorder<T> {
  const { numberOf = defaultNumberOf, explain } = options
  const items: T[] = []
  const numbers: number[] = []
  const waiting = new Set<() => void>()
  let ended: { readonly error: unknown } | null = null

  const notify = () => {
    for (const look of waiting) look()
  }

  const state = (): string => {
    const parts = [`delivered ${numbers.length}`, `last seen ${describe(items.at(-1), numbers.at(-1))}`]
    if (ended) parts.push(ended.error === undefined ? 'the stream has ended' : `the stream failed`)
    if (explain) parts.push(explain())
    return parts.join('; ')
  }

  return {
    items,
    numbers,
    push(item) {
      items.push(item)
      const number = numberOf(item)
      if (number !== undefined) numbers.push(number)
      notify()
    },
    end(error) {
      ended ??= { error }
      notify()
    },
    until(wanted, { withinMs = defaultWithinMs } = {}) {
      const reached = () => (typeof wanted === 'number' ? numbers.length >= wanted : wanted(items))
      const goal = typeof wanted === 'number' ? `${wanted} items` : `items such that ${wanted}`
      return new Promise<void>((resolve, reject) => {
        const settle = (outcome: () => void) => {
          clearTimeout(timer)
          waiting.delete(look)
          outcome()
        }
        const fail = (how: string, cause?: unknown) =>
          settle(() => reject(new Error(`${how} ${goal}; ${state()}`, cause === undefined ? {} : { cause })))
        const look = () => {
          try {
            if (reached()) settle(resolve)
            else if (ended) fail('The stream ended before', ended.error)
          } catch (thrown) {
            settle(() => reject(thrown))
          }
        }
        const timer = setTimeout(() => fail(`Waited ${withinMs} ms for`), withinMs)
        waiting.add(look)
        look()
      })
    },
    report(expected) {
      return compare(numbers, expected)
    },
  }
}

function compare(numbers: readonly number[], expected: number | Iterable<number> | undefined): Report {
  const seen = new Set<number>()
  const repeated: number[] = []
  const outOfOrder: number[] = []
  let greatest = -Infinity
  for (const number of numbers) {
    if (seen.has(number)) repeated.push(number)
    else if (number < greatest) outOfOrder.push(number)
    seen.add(number)
    greatest = Math.max(greatest, number)
  }
  const missing: number[] = []
  for (const number of toExpected(numbers, expected)) if (!seen.has(number)) missing.push(number)
  return { delivered: numbers.length, missing, repeated, outOfOrder }
}

function* toExpected(
  numbers: readonly number[],
  expected: number | Iterable<number> | undefined,
): Iterable<number> {
  if (expected !== undefined && typeof expected !== 'number') return yield* expected
  // A loop, not Math.min(...numbers): a spread of a hundred thousand arguments overflows the stack.
  let [least, greatest] = [Infinity, -Infinity]
  for (const number of numbers) {
    least = Math.min(least, number)
    greatest = Math.max(greatest, number)
  }
  if (expected !== undefined) [least, greatest] = [1, expected]
  for (let number = least; number <= greatest; number++) yield number
}

function defaultNumberOf(item: unknown): number | undefined {
  if (typeof item === 'number') return item
  if (typeof item !== 'object' || item === null) return undefined
  const { n, data } = item as { n?: unknown; data?: unknown }
  if (typeof n === 'number') return n
  return data === undefined ? undefined : defaultNumberOf(data)
}

function describe(item: unknown, number: number | undefined): string {
  if (number !== undefined) return String(number)
  if (item === undefined) return 'nothing'
  const text = JSON.stringify(item) ?? String(item)
  return text.length > 80 ? `${text.slice(0, 80)}…` : text
}
