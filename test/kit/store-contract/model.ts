/**
 * 'The store behaves as the array in memory does': random programs of calls, run on the store and on a model that
 * keeps all that ever happened in plain arrays and decides what is left only when it is asked.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { defaultDedupWindowMs, type Page, type Store } from '../../../server/stores/store.ts'
import { isSluiceError } from '../../../shared/errors.ts'
import type { Epoch } from '../../../shared/protocol/cursor.ts'
import { onFreshStore, type StoreContractOptions, type StoreSubject } from './subject.ts'

interface NewModelRecord {
  readonly bytes: number
  /** How far the writer's clock is behind. */
  readonly behindMs: number
  readonly key: string | undefined
}

type Call = { readonly log: string } & (
  | {
      readonly call: 'append'
      readonly records: readonly NewModelRecord[]
      /** The offset to expect: the last one plus this. */
      readonly expect: number | undefined
      readonly maxEvents: number | undefined
      readonly maxAgeMs: number | undefined
      readonly dedupWindowMs: number | undefined
    }
  | {
      readonly call: 'read' | 'readBefore'
      readonly offset: number
      readonly maxEvents: number
      readonly maxBytes: number
    }
  | { readonly call: 'trim'; readonly maxEvents: number | undefined; readonly maxAgeMs: number | undefined }
  | { readonly call: 'describe' | 'remove' | 'load' }
  | { readonly call: 'expire' | 'advance'; readonly ms: number }
  | { readonly call: 'save'; readonly offset: number; readonly life: 'this' | 'first' }
)

const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined, freq: 2 })
const logName = fc.constantFrom('a', 'a/b', 'a\u0001')
const key = maybe(fc.constantFrom('k1', 'k2', 'k3'))
const age = maybe(fc.integer({ min: 0, max: 300 }))
const count = maybe(fc.integer({ min: 0, max: 6 }))
const offset = fc.integer({ min: 0, max: 30 })
const bounds = { maxEvents: fc.integer({ min: 1, max: 10 }), maxBytes: fc.integer({ min: 0, max: 60 }) }

const anyRecord = fc.record({
  bytes: fc.integer({ min: 0, max: 20 }),
  behindMs: fc.constantFrom(0, 0, 0, 50, -50, 400),
  key,
})
const anyAppend = fc.record({
  call: fc.constant('append' as const),
  log: logName,
  records: fc.array(anyRecord, { minLength: 1, maxLength: 5 }),
  expect: maybe(fc.constantFrom(0, 0, 0, 1, -1)),
  maxEvents: count,
  maxAgeMs: age,
  dedupWindowMs: maybe(fc.integer({ min: 0, max: 300 })),
})
const anyCall: fc.Arbitrary<Call> = fc.oneof(
  { weight: 5, arbitrary: anyAppend },
  {
    weight: 4,
    arbitrary: fc.record({ call: fc.constantFrom('read', 'readBefore'), log: logName, offset, ...bounds }),
  },
  { weight: 2, arbitrary: fc.record({ call: fc.constantFrom('describe', 'load', 'remove'), log: logName }) },
  {
    weight: 1,
    arbitrary: fc.record({ call: fc.constant('trim'), log: logName, maxEvents: count, maxAgeMs: age }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      call: fc.constantFrom('advance', 'advance', 'expire'),
      log: logName,
      ms: fc.integer({ min: 0, max: 200 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      call: fc.constant('save'),
      log: logName,
      offset,
      life: fc.constantFrom('this', 'this', 'first'),
    }),
  },
)

/** One life of a log. Its epoch is learnt from the store; that it is the same all along is checked. */
interface Life {
  epoch: Epoch | null
  readonly records: Array<{ readonly at: number; readonly bytes: number }>
  /** Records up to this offset were dropped for good. */
  dropped: number
  maxAgeMs: number
  expiresAt: number
  readonly keys: Map<string, { readonly offset: number; readonly until: number }>
  checkpoint: number | null
}

class Model {
  readonly #lives = new Map<string, Life>()
  readonly #firstEpochs = new Map<string, Epoch>()

  find(log: string, now: number): Life | null {
    const life = this.#lives.get(log)
    if (!life) return null
    if (life.expiresAt <= now) {
      this.#lives.delete(log)
      return null
    }
    let newest = -Infinity
    for (const [index, { at }] of life.records.entries()) {
      newest = Math.max(newest, at)
      if (newest < now - life.maxAgeMs) life.dropped = Math.max(life.dropped, index + 1)
    }
    return life
  }

  bear(log: string): Life {
    const life: Life = {
      epoch: null,
      records: [],
      dropped: 0,
      maxAgeMs: Infinity,
      expiresAt: Infinity,
      keys: new Map(),
      checkpoint: null,
    }
    this.#lives.set(log, life)
    return life
  }

  remove(log: string): void {
    this.#lives.delete(log)
  }

  learn(log: string, life: Life, epoch: Epoch): void {
    if (life.epoch === null) {
      expect([...this.#lives.values()].map(other => other.epoch)).not.toContain(epoch)
      life.epoch = epoch
      if (!this.#firstEpochs.has(log)) this.#firstEpochs.set(log, epoch)
    }
    expect(epoch).toBe(life.epoch)
  }

  firstEpoch(log: string): Epoch | null {
    return this.#firstEpochs.get(log) ?? null
  }
}

export function describeModel(options: StoreContractOptions): void {
  describe('any program of calls', () => {
    test(
      'gives what plain arrays would give',
      onFreshStore(options, async (store, subject) => {
        let run = 0
        await fc.assert(
          fc.asyncProperty(fc.array(anyCall, { minLength: 1, maxLength: 40 }), async calls => {
            const model = new Model()
            // One store for all programs, with logs of their own: so they also prove that logs don't touch.
            const prefix = `${++run}:`
            for (const call of calls) await runCall(store, subject, model, prefix, call)
          }),
          { numRuns: options.runs ?? 100 },
        )
      }),
    )
  })
}

async function runCall(
  store: Store,
  { now, advance }: StoreSubject,
  model: Model,
  prefix: string,
  call: Call,
): Promise<void> {
  const log = prefix + call.log
  const life = model.find(log, now())
  switch (call.call) {
    case 'append':
      return runAppend(store, now(), model, log, call)
    case 'describe': {
      const state = await store.describe(log)
      expect(state).toEqual(life && stateOf(life))
      return
    }
    case 'read':
    case 'readBefore': {
      const page = await store[call.call](log, call.offset, call)
      expect(page.state).toEqual(life && stateOf(life))
      expect(shapeOf(page)).toEqual(life ? expectedPage(life, call) : [])
      return
    }
    case 'trim':
      if (life) retain(life, call)
      return store.trim(log, call)
    case 'remove':
      model.remove(log)
      return store.remove(log)
    case 'expire':
      if (life) life.expiresAt = now() + call.ms
      return store.expire(log, now() + call.ms)
    case 'advance':
      return advance(call.ms)
    case 'save': {
      const epoch = call.life === 'this' ? life?.epoch : model.firstEpoch(log)
      if (!epoch) return
      if (life?.epoch === epoch) life.checkpoint = Math.max(life.checkpoint ?? 0, call.offset)
      return store.saveCheckpoint(log, { epoch, offset: call.offset, payload: Uint8Array.of(call.offset) })
    }
    case 'load': {
      const checkpoint = await store.loadCheckpoint(log)
      const saved = life?.checkpoint ?? null
      const expected =
        saved === null ? null : { epoch: life?.epoch, offset: saved, payload: Uint8Array.of(saved) }
      expect(checkpoint).toEqual(expected)
      return
    }
    default:
      call satisfies never
  }
}

async function runAppend(
  store: Store,
  now: number,
  model: Model,
  log: string,
  call: Extract<Call, { call: 'append' }>,
): Promise<void> {
  const known = model.find(log, now)
  const last = known?.records.length ?? 0
  const expectLast = call.expect === undefined ? undefined : last + call.expect
  const remembered = (life: Life | null, { key }: NewModelRecord) => {
    const first = key === undefined ? undefined : life?.keys.get(key)
    return first && first.until > now ? first.offset : undefined
  }
  const outcome = await store
    .append(
      log,
      call.records.map(({ bytes, behindMs, key }) => ({
        payload: new Uint8Array(bytes).fill(bytes),
        at: now - behindMs,
        idempotencyKey: key,
      })),
      {
        expectLast,
        dedupWindowMs: call.dedupWindowMs,
        retain: hasRetention(call) ? call : undefined,
      },
    )
    .catch((thrown: unknown) => {
      if (!isSluiceError(thrown)) throw thrown
      return thrown.code
    })

  if (expectLast !== undefined && expectLast !== last) {
    if (!call.records.every(record => remembered(known, record))) {
      expect(outcome).toBe('CONFLICT')
      return
    }
  }
  if (typeof outcome === 'string') expect.fail(`refused with ${outcome}`)
  const life = known ?? model.bear(log)
  const until = now + (call.dedupWindowMs ?? defaultDedupWindowMs)
  const duplicates: boolean[] = []
  const offsets = call.records.map(record => {
    const first = remembered(life, record)
    duplicates.push(first !== undefined)
    if (first !== undefined) return first
    const offset = life.records.push({ at: now - record.behindMs, bytes: record.bytes })
    if (record.key !== undefined) life.keys.set(record.key, { offset, until })
    return offset
  })
  expect({ offsets: outcome.offsets, duplicates: outcome.duplicates }).toEqual({ offsets, duplicates })
  model.learn(log, life, outcome.epoch)
  if (hasRetention(call)) retain(life, call)
}

interface ModelRetention {
  readonly maxEvents: number | undefined
  readonly maxAgeMs: number | undefined
}

const hasRetention = ({ maxEvents, maxAgeMs }: ModelRetention) =>
  maxEvents !== undefined || maxAgeMs !== undefined

function retain(life: Life, { maxEvents = Infinity, maxAgeMs = Infinity }: ModelRetention): void {
  life.dropped = Math.max(life.dropped, life.records.length - maxEvents)
  life.maxAgeMs = maxAgeMs
}

const stateOf = (life: Life) => ({ epoch: life.epoch, first: life.dropped + 1, last: life.records.length })

const shapeOf = (page: Page) =>
  page.records.map(({ offset, at, payload }) => ({ offset, at, payload: Array.from(payload) }))

function expectedPage(life: Life, call: Extract<Call, { call: 'read' | 'readBefore' }>) {
  const retained = life.records
    .map(({ at, bytes }, index) => ({ offset: index + 1, at, payload: Array<number>(bytes).fill(bytes) }))
    .slice(life.dropped)
  const wanted =
    call.call === 'read'
      ? retained.filter(({ offset }) => offset > call.offset)
      : retained.filter(({ offset }) => offset < call.offset).toReversed()
  let bytes = 0
  const page = wanted.filter(({ payload }, index) => {
    const isWithin = index === 0 || (index < call.maxEvents && bytes < call.maxBytes)
    bytes += isWithin ? payload.length : Infinity
    return isWithin
  })
  return call.call === 'read' ? page : page.toReversed()
}
