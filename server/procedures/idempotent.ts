/**
 * A mutation that may be sent again runs once. Under its key a small log is kept in the store:
 *
 *     started ──▶ done      the result is remembered, and is the answer to every repetition
 *        └──────▶ failed    the next try may run
 *
 * Who holds the lease of the key runs; the same key in flight waits for that. A log that says `started` and whose
 * lease has lapsed is of a server that died in the middle: nobody knows how far it came, and it is not run again.
 */
import { randomUUID } from 'node:crypto'
import { experimental_standaloneMiddleware } from '@trpc/server'
import { systemClock, type Clock } from '../../shared/clock.ts'
import { quote, SluiceError } from '../../shared/errors.ts'
import { watchNextChange } from '../stores/next-change.ts'
import type { Store } from '../stores/store.ts'
import { packPayload, unpackPayload } from '../topics/payload.ts'
import { Lease } from '../topics/runs/lease.ts'
import { digest, fingerprint } from './fingerprint.ts'
import { idempotencyKeyOf, withoutIdempotencyKey, type IdempotencyKey } from './idempotency-key.ts'

export interface IdempotentOptions<Context = unknown> {
  /** Where results are remembered: one that all servers share. */
  readonly store: Store
  /** Whose keys they are; the same key of somebody else is refused. Default: everybody's. */
  readonly user?: (ctx: Context) => string
  /** How long a result is remembered, in milliseconds; default 24 hours. */
  readonly windowMs?: number
  /** Time, for tests; default the system's. */
  readonly clock?: Clock
}

type Entry =
  | { readonly at: 'started'; readonly owner: string; readonly request: string }
  | { readonly at: 'done'; readonly data: unknown }
  | { readonly at: 'failed' }

/** The latest try is all that counts: its beginning, and its end if it has one. */
const retain = { maxEvents: 2 }

/** What the log of one key says. */
interface History {
  /** Of the last entry; 0 where there is none. */
  readonly offset: number
  readonly started: Extract<Entry, { at: 'started' }> | null
  readonly last: Entry | null
}

/** A sign of life of the server that runs it, renewed while it does, in milliseconds. */
const leaseMs = 10_000

/** How long the same key in flight is waited for, in milliseconds. */
const maxWaitMs = 60_000

const maxKeyLength = 200

/**
 * Middleware for a mutation: one that comes with an idempotency key runs once, and its repetitions get its result.
 * The outbox of our client gives each mutation a key; over HTTP it is the header `Idempotency-Key`. Without a key the
 * mutation runs as ever. One that throws may be tried again under its key.
 *
 * Its errors: `IDEMPOTENCY_CONFLICT` (the key was used for another procedure or input, or by another user, or is the
 * header of a batch of several calls; it has not run), `OUTCOME_UNKNOWN` (the server that ran it has died in the middle,
 * or still runs it after a minute), and those of the store.
 *
 * @example
 * ```ts
 * pay: t.procedure.input(Payment).use(idempotent({ store, user: (ctx: Ctx) => ctx.user.id })).mutation(…)
 * ```
 */
export function idempotent<Context extends object = object>(options: IdempotentOptions<Context>) {
  const { store, user, windowMs = 24 * 3_600_000, clock = systemClock } = options
  return experimental_standaloneMiddleware<{ ctx: Context }>().create(
    async ({ ctx, path, getRawInput, next }) => {
      const current = idempotencyKeyOf(path)
      if (current === undefined) return next()
      const key = checkKey(current)
      const log = `idempotent/${digest(key)}`
      // tRPC's type of it is the same, simplified beyond what the compiler can see.
      const owner = user ? digest(user(ctx as unknown as Context)) : ''
      const request = fingerprint(path, await getRawInput())

      const look = async () => {
        const history = await readHistory(store, log)
        const { started } = history
        if (started && started.owner !== owner) throw conflict(key, 'is of somebody else')
        if (started && started.request !== request) throw conflict(key, 'was used for something else')
        return history
      }
      const isDone = async () => (await look()).last?.at === 'done'
      await using lease = await waitForTurn(store, log, clock, isDone)
      // Somebody else may have used the key before the lease was ours.
      const { offset, last } = await look()
      // What next() would have answered; the marker is of types only.
      if (last?.at === 'done') return { ok: true, data: last.data, ctx } as unknown as ReturnType<typeof next>
      if (!lease) throw unknownOutcome(path, 'is still running')
      if (last?.at === 'started') throw unknownOutcome(path, 'was running on a server that has died')

      const write = (entry: Entry, expectLast: number) =>
        store.append(log, [{ payload: packPayload(entry), at: clock.now() }], { expectLast, retain })
      await write({ at: 'started', owner, request }, offset)
      try {
        await store.expire(log, clock.now() + windowMs)
      } catch (thrown) {
        await write({ at: 'failed' }, offset + 1) // it has not run
        throw thrown
      }
      // It may call itself in its turn.
      const result = await withoutIdempotencyKey(next)
      await write(result.ok ? { at: 'done', data: result.data } : { at: 'failed' }, offset + 1)
      return result
    },
  )
}

/** @throws SluiceError `IDEMPOTENCY_CONFLICT` for a key that is none. */
function checkKey({ value, paths }: IdempotencyKey): string {
  if (value.length > maxKeyLength) throw conflict(value, `is longer than ${maxKeyLength} characters`)
  // Which of them has run could not be told, once some are sent again without the others.
  if (paths.length > 1)
    throw conflict(value, `came with a batch of ${paths.length}: send each in a request of its own`)
  return value
}

/** Null when there is nothing to run any more, or when somebody else runs it for too long. */
async function waitForTurn(
  store: Store,
  log: string,
  clock: Clock,
  isDone: () => Promise<boolean>,
): Promise<Lease | null> {
  const giveUpAt = clock.now() + maxWaitMs
  const owner = randomUUID()
  while (!(await isDone()) && clock.now() < giveUpAt) {
    // One that is lost in the middle, to a store that cannot be reached, shows when the end is to be written.
    const lease = await Lease.acquire({ store, name: log, owner, ttlMs: leaseMs, clock, onLost: () => {} })
    if (lease) return lease
    using change = watchNextChange(store, log, clock)
    await change.heard
  }
  return null
}

async function readHistory(store: Store, log: string): Promise<History> {
  const { state, records } = await store.read(log, 0, { ...retain, maxBytes: Infinity })
  // Written by this file, and by nothing else.
  const entries = records.map(({ payload }) => unpackPayload(payload) as Entry)
  return {
    offset: state?.last ?? 0,
    started: entries.findLast(entry => entry.at === 'started') ?? null,
    last: entries.at(-1) ?? null,
  }
}

function conflict(key: string, why: string): SluiceError {
  return new SluiceError('IDEMPOTENCY_CONFLICT', `The idempotency key ${quote(key)} ${why}.`)
}

function unknownOutcome(path: string, why: string): SluiceError {
  return new SluiceError('OUTCOME_UNKNOWN', `"${path}" ${why}: it may or may not have happened.`, {
    data: { path },
  })
}
