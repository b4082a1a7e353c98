/** The runs of one kind: those at work on this node, and those that anyone here looks at. */
import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import { systemClock } from '../../../shared/clock.ts'
import type { Clock, Timer } from '../../../shared/clock.ts'
import { isSluiceError, quote, SluiceError, toError } from '../../../shared/errors.ts'
import { isRunEnd, isSluiceItem } from '../../../shared/items.ts'
import type { Fold, RunEnd, RunOutcome } from '../../../shared/items.ts'
import { memoryStore } from '../../stores/memory.ts'
import { watchNextChange } from '../../stores/next-change.ts'
import type { Store } from '../../stores/store.ts'
import { checkTopicName, Log } from '../log.ts'
import { Logs } from '../logs.ts'
import type { TopicStream } from '../stream.ts'
import { execute } from './execution.ts'
import type { AbortReason } from './execution.ts'
import { Lease } from './lease.ts'
import { reapIfDead } from './reaper.ts'
import { packRecord, unpackRecord } from './record.ts'
import type { RunState } from './record.ts'
import { RunWriter } from './writer.ts'

export interface RunHandlerOptions<Input, Context> {
  readonly input: Input
  /** The context of the request that started the run. */
  readonly ctx: Context
  /** Aborted when the run is stopped. Not when a client leaves. */
  readonly signal: AbortSignal
  readonly run: { readonly id: string }
}

export type RunStatus<Result> = {
  readonly id: string
  /** Milliseconds since the epoch. */
  readonly startedAt: number
} & (
  | { readonly status: 'running' }
  | (RunOutcome<Result> & {
      /** Milliseconds since the epoch. */
      readonly endedAt: number
    })
)

export interface RunsOptions {
  readonly name: string
  readonly event: z.ZodType
  readonly result?: z.ZodType | undefined
  readonly store?: Store | undefined
  readonly fold?: Fold<unknown, unknown> | undefined
  readonly handler: (options: RunHandlerOptions<unknown, unknown>) => AsyncIterable<unknown, unknown>
  readonly leaseMs?: number
  readonly graceMs?: number
  readonly retainMs?: number
  readonly onError?: (error: Error) => void
  readonly clock?: Clock
}

const day = 24 * 3_600_000

export class Runs {
  readonly #topic: string
  readonly #store: Store
  readonly #options: RunsOptions
  readonly #clock: Clock
  readonly #leaseMs: number
  readonly #retainMs: number
  readonly #onError: (error: Error) => void
  readonly #logs: Logs<unknown>
  /** Runs at work on this node. */
  readonly #atWork = new Map<string, AbortController>()

  constructor(options: RunsOptions) {
    this.#topic = `run.${options.name}`
    checkTopicName(this.#topic)
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#store = options.store ?? memoryStore({ clock: this.#clock })
    this.#leaseMs = options.leaseMs ?? 5000
    this.#retainMs = options.retainMs ?? 7 * day
    this.#onError = options.onError ?? (error => console.error(`[sluice] run "${options.name}":`, error))
    this.#logs = new Logs<unknown>({
      topic: this.#topic,
      store: this.#store,
      decode: toItem,
      isLast: isRunEnd,
      fold: options.fold,
      retain: undefined,
      onGap: options.fold ? 'snapshot' : 'error',
      ringSize: 1024,
      ringBytes: 4 * 1024 * 1024,
      lingerMs: 10_000,
      checkpointEvery: 500,
      clock: this.#clock,
      onError: this.#onError,
      onUse: id => this.#watchOwner(id),
    })
  }

  async start(id: string = randomUUID(), input: unknown, ctx: unknown): Promise<{ id: string }> {
    const log = new Log(this.#store, this.#topic, id).name
    const controller = new AbortController()
    // The lease comes before the log: a run that can be seen has an owner, or has lost it.
    const lease = await this.#leaseUnlessThereIs(log, controller)
    if (!lease) return { id } // it is at work, here or elsewhere, or has been
    try {
      await this.#forgetWish(id) // of an earlier run: nobody can want to stop this one before it can be seen
      const start = { payload: packRecord(['start', input]), at: this.#clock.now() }
      await this.#store.append(log, [start], { expectLast: 0 })
    } catch (error) {
      await lease[Symbol.asyncDispose]()
      if (isSluiceError(error) && error.code === 'CONFLICT') return { id } // it has run before
      throw error
    }
    this.#work(id, log, input, ctx, controller, lease).catch(thrown => this.#onError(toError(thrown)))
    return { id }
  }

  async attach(
    id: string,
    after: string | undefined,
    signal: AbortSignal | undefined,
  ): Promise<TopicStream<unknown>> {
    const log = new Log(this.#store, this.#topic, id)
    if (!(await this.#store.describe(log.name))) throw this.#notFound(id)
    return this.#logs.subscribe(id, { after, from: 'start', signal })
  }

  async stop(id: string): Promise<{ id: string }> {
    const here = this.#atWork.get(id)
    if (here) {
      here.abort('stopped' satisfies AbortReason)
      return { id }
    }
    const state = await this.#reap(id)
    if (!state) throw this.#notFound(id)
    if (!state.end) {
      const wish = this.#stopLog(id)
      await this.#store.append(wish, [
        { payload: new Uint8Array(), at: this.#clock.now(), idempotencyKey: 'stop' },
      ])
      await this.#store.expire(wish, this.#clock.now() + day)
    }
    return { id }
  }

  async status(id: string): Promise<RunStatus<unknown>> {
    const state = await this.#reap(id)
    if (!state) throw this.#notFound(id)
    const { startedAt, end } = state
    return end ? { id, startedAt, endedAt: end.at, ...end.outcome } : { id, startedAt, status: 'running' }
  }

  /** Null for a run that can be seen. Who has the lease of one that cannot is about to start it, and may fail to. */
  async #leaseUnlessThereIs(log: string, controller: AbortController): Promise<Lease | null> {
    const acquire = () =>
      Lease.acquire({
        store: this.#store,
        name: log,
        owner: randomUUID(),
        ttlMs: this.#leaseMs,
        clock: this.#clock,
        onLost: () => controller.abort('lost' satisfies AbortReason),
      })
    for (;;) {
      const lease = await acquire()
      if (lease) return lease
      using change = watchNextChange(this.#store, log, this.#clock)
      if (await this.#store.describe(log)) return null
      await change.heard
    }
  }

  async #work(
    id: string,
    log: string,
    input: unknown,
    ctx: unknown,
    controller: AbortController,
    lease: Lease,
  ) {
    await using _held = lease
    const unwatch = this.#watchForStop(id, controller)
    this.#atWork.set(id, controller)
    try {
      const { event, result, handler, graceMs = 5000 } = this.#options
      await this.#keepFor(log, day + this.#retainMs)
      await execute({
        id,
        open: () => handler({ input, ctx, signal: controller.signal, run: { id } }),
        controller,
        writer: new RunWriter(this.#store, log, this.#clock, 1),
        parseEvent: value => parseEvent(event, value),
        parseResult: value => (result ? parse(result, value, 'returned') : Promise.resolve(value)),
        graceMs,
        clock: this.#clock,
        onError: this.#onError,
      })
      await this.#keepFor(log, this.#retainMs)
    } finally {
      unwatch()
      this.#atWork.delete(id)
    }
  }

  /** A wish to stop that was spoken on another node arrives as a log of its own. */
  #watchForStop(id: string, controller: AbortController): () => void {
    const wish = this.#stopLog(id)
    const look = () => {
      this.#store
        .describe(wish)
        .then(state => state && controller.abort('stopped' satisfies AbortReason))
        .catch(thrown => this.#onError(toError(thrown)))
    }
    const unwatch = this.#store.watch(wish, look)
    look() // it may have been spoken as soon as the run could be seen
    return unwatch
  }

  async #forgetWish(id: string): Promise<void> {
    const wish = this.#stopLog(id)
    if (await this.#store.describe(wish)) await this.#store.remove(wish)
  }

  /** While anyone looks at a run that is not at work here, checks now and then whether its owner lives. */
  #watchOwner(id: string): () => void {
    let timer: Timer | null = null
    let watching = true
    const check = async () => {
      // A store that cannot be reached now may be later: look again.
      const state = await this.#reap(id).catch(thrown => this.#onError(toError(thrown)))
      if (watching && !state?.end) timer = this.#clock.after(this.#leaseMs, () => void check())
    }
    void check()
    return () => {
      watching = false
      timer?.cancel()
    }
  }

  async #reap(id: string): Promise<RunState | null> {
    const log = new Log(this.#store, this.#topic, id).name
    return reapIfDead(this.#store, log, this.#clock, this.#leaseMs)
  }

  #keepFor(log: string, ms: number): Promise<void> {
    return this.#store.expire(log, this.#clock.now() + ms)
  }

  #stopLog(id: string): string {
    return `${this.#topic}!stop/${id}`
  }

  #notFound(id: string): SluiceError {
    return new SluiceError(
      'RUN_NOT_FOUND',
      `There is no run ${quote(id)} of kind "${this.#options.name}". Start it first; one that has ended is kept for a while only.`,
    )
  }
}

/** A record as viewers see it: the start is between the run and its log. */
function toItem(payload: Uint8Array): unknown {
  const [kind, value] = unpackRecord(payload)
  if (kind === 'start') return null
  return kind === 'end' ? ({ $sluice: 'end', outcome: value } satisfies RunEnd) : value
}

async function parseEvent(schema: z.ZodType, value: unknown): Promise<unknown> {
  const event = await parse(schema, value, 'yielded')
  if (!isSluiceItem(event)) return event
  throw new SluiceError(
    'STREAM_INVALID',
    'The run yielded a value with a member "$sluice", by which its end is told from events. Rename it.',
  )
}

async function parse(schema: z.ZodType, value: unknown, what: string): Promise<unknown> {
  const parsed = await schema.safeParseAsync(value)
  if (parsed.success) return parsed.data
  throw new SluiceError(
    'STREAM_INVALID',
    `The run ${what} a value that its schema refuses: ${z.prettifyError(parsed.error)}`,
    {
      cause: parsed.error,
    },
  )
}
