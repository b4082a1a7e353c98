import fc from 'fast-check'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { memoryStore } from '../../../server/stores/memory.ts'
import { createTopic } from '../../../server/topics/topic.ts'
import type { Envelope } from '../../../server/topics/envelope.ts'
import { feedOf } from '../../../server/topics/sink.ts'
import type { TopicStream } from '../../../server/topics/stream.ts'
import { isSluiceError } from '../../../shared/errors.ts'
import { isGap, isSnapshot } from '../../../shared/items.ts'

/** One thing that happens to a log or to one of its subscribers. */
type Step =
  | { do: 'publish'; count: number }
  | { do: 'take'; who: number; count: number }
  | { do: 'leave'; who: number }
  | { do: 'comeBack'; who: number }
  | { do: 'wipe' }
  | { do: 'breathe' }

const people = 3
const who = fc.nat({ max: people - 1 })
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('publish' as const), count: fc.integer({ min: 1, max: 12 }) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('take' as const), who, count: fc.integer({ min: 1, max: 8 }) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('leave' as const), who }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('comeBack' as const), who }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('wipe' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('breathe' as const) }) },
)

const schedule = fc.record({
  // Asked item by item, or pushed to batch by batch: the same promise holds.
  pushed: fc.boolean(),
  ringSize: fc.integer({ min: 1, max: 16 }),
  // An event has some ten bytes.
  ringBytes: fc.integer({ min: 1, max: 200 }),
  maxEvents: fc.option(fc.integer({ min: 1, max: 20 }), { nil: undefined }),
  whenSlow: fc.constantFrom(
    'wait' as const,
    { policy: 'drop-oldest' as const, maxLag: 3 },
    { policy: 'conflate' as const, by: ({ n }: { n: number }) => String(n % 3) },
  ),
  onGap: fc.constantFrom('error' as const, 'latest' as const, 'snapshot' as const),
  steps: fc.array(step, { minLength: 1, maxLength: 40 }),
})

const breathe = () => new Promise(resolve => setImmediate(resolve))

/** The state of a log without events: what comes next is anybody's guess. */
const nothing = 0

/** What one person has seen, held against the rule: the next number, unless a gap or a state was announced. */
class Witness {
  cursor: string | undefined
  expected: number | null = null
  stream: AsyncIterator<readonly [string, unknown, unknown]> | null = null
  pending: Promise<unknown> | null = null
  conflated = false

  see(id: string, item: unknown): void {
    this.cursor = id
    if (isGap(item)) {
      // What a slow reader has lost is told to the event; what retention has dropped, only that it is gone.
      this.expected =
        item.reason === 'dropped' && this.expected !== null ? this.expected + item.dropped : null
    } else if (isSnapshot<number>(item)) this.expected = item.state === nothing ? null : item.state + 1
    else {
      const { n } = item as { n: number }
      if (this.conflated) expect(n).toBeGreaterThanOrEqual(this.expected ?? 0)
      else if (this.expected !== null) expect(n).toBe(this.expected)
      this.expected = n + 1
    }
  }
}

/** A pushed stream, asked item by item all the same: it has room for a batch when nothing of the last one is left. */
function toPulled(stream: TopicStream<unknown>): AsyncIterator<Envelope<unknown>, undefined> {
  const taken: Envelope<unknown>[] = []
  let askedFor = () => {}
  let arrived = () => {}
  let room: Promise<void> | null = null
  const close = () => (room = new Promise(resolve => (askedFor = resolve)))
  close()
  let end: (failure: { readonly thrown: unknown } | null) => void = () => {}
  const ended = new Promise<void>((resolve, reject) => {
    end = failure => (failure ? reject(failure.thrown) : resolve())
  })
  ended.catch(() => {}) // heard by next()
  feedOf(stream)?.({
    ended: failure => end(failure),
    push(batch) {
      taken.push(...batch.envelopes)
      close()
      arrived()
    },
    get room() {
      return room
    },
  })
  return {
    async next() {
      if (taken.length === 0) {
        const something = new Promise<void>(resolve => (arrived = resolve))
        room = null
        askedFor()
        await Promise.race([something, ended])
      }
      const value = taken.shift()
      return value ? { done: false, value } : { done: true, value: undefined }
    },
    async return() {
      await stream.return()
      askedFor()
      return { done: true, value: undefined }
    },
  }
}

test('whatever happens to a log, a subscriber sees the next event or is told that it cannot', async () => {
  await fc.assert(
    fc.asyncProperty(schedule, async ({ pushed, ringSize, ringBytes, whenSlow, maxEvents, onGap, steps }) => {
      const store = memoryStore()
      const topic = createTopic({
        name: 'numbers',
        event: z.object({ n: z.number() }),
        store,
        ringSize,
        ringBytes,
        onGap,
        checkpointEvery: 4,
        lingerMs: 0,
        // The store is closed under a log that lingers.
        onError: error => expect(error).toMatchObject({ code: 'STORE_CLOSED' }),
        ...(maxEvents && { retain: { maxEvents } }),
        // The state is the last number, so that a delta which does not continue it shows.
        ...(onGap === 'snapshot' && {
          fold: { initial: nothing, step: (_: number, event: { n: number }) => event.n },
        }),
      })
      const witnesses = Array.from({ length: people }, () => new Witness())
      for (const witness of witnesses)
        witness.conflated = whenSlow !== 'wait' && whenSlow.policy === 'conflate'
      let n = 0
      const take = (witness: Witness) =>
        (witness.pending ??= (witness.stream as NonNullable<typeof witness.stream>)
          .next()
          .then(
            ({ done, value }) => {
              if (!done) witness.see(value[0], value[1])
            },
            (error: unknown) => {
              // Only a gap may end a stream, and only under the policy that says so.
              expect(isSluiceError(error) && error.code).toBe('GAP')
              expect(onGap).toBe('error')
              Object.assign(witness, { stream: null, cursor: undefined, expected: null })
            },
          )
          .finally(() => (witness.pending = null)))

      for (const step of steps) {
        const witness = witnesses['who' in step ? step.who : 0] as Witness
        switch (step.do) {
          case 'publish':
            // Together, so that they come as one batch.
            await Promise.all(Array.from({ length: step.count }, () => topic.publish('k', { n: ++n })))
            break
          case 'take':
            for (let i = 0; i < step.count && witness.stream; i++)
              await Promise.race([take(witness), breathe()])
            break
          case 'leave':
            await witness.stream?.return?.()
            await witness.pending
            witness.stream = null
            break
          case 'comeBack':
            if (!witness.stream) {
              const stream = topic.subscribe('k', { after: witness.cursor, from: 'start', whenSlow })
              witness.stream = (pushed ? toPulled(stream) : stream) as never
            }
            break
          case 'wipe':
            await store.remove('numbers/k')
            break
          case 'breathe':
            await breathe()
        }
      }

      // At the end everybody gets to the newest event, without a hole.
      await topic.publish('k', { n: ++n })
      for (const witness of witnesses) {
        while (witness.stream && witness.expected !== n + 1) {
          await Promise.race([take(witness), new Promise(resolve => setTimeout(resolve, 1000, 'late'))])
          // After a gap that lies at the very end, nothing more is owed.
          if (witness.expected === null) break
        }
        await witness.stream?.return?.()
        await witness.pending
      }
      await store.close()
    }),
    { numRuns: 1000 },
  )
}, 60_000)
