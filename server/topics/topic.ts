/**
 * A topic: a family of append-only logs of one event type, one log per key. This file is the public face; the log's
 * reading side is hub.ts and subscriber.ts, the folded state snapshot.ts.
 */
import { z } from 'zod'
import { systemClock } from '../../shared/clock.ts'
import type { Clock } from '../../shared/clock.ts'
import { SluiceError } from '../../shared/errors.ts'
import type { Fold, Gap, Snapshot } from '../../shared/items.ts'
import type { Cursor, Offset } from '../../shared/protocol/cursor.ts'
import type { Retention, Store } from '../stores/store.ts'
import { memoryStore } from '../stores/memory.ts'
import { readHistory } from './history.ts'
import type { HistoryOptions, HistoryPage } from './history.ts'
import { checkTopicName, Log } from './log.ts'
import { Logs } from './logs.ts'
import { packPayload, unpackPayload } from './payload.ts'
import type { GapPolicy } from './reader.ts'
import type { TopicStream } from './stream.ts'
import type { WhenSlow } from './when-slow.ts'

export interface TopicOptions<Event extends z.ZodType, State, Policy extends GapPolicy> {
  /** 1 to 64 letters, digits, dots, dashes or underscores. The same name in the same store is the same topic. */
  readonly name: string
  /** Schema of an event. Each is validated once, when published. */
  readonly event: Event
  /** Where the logs are kept. Default: a memory store of this topic's own. */
  readonly store?: Store
  /** What is kept of each log. Default: everything. */
  readonly retain?: Retention
  /** A typed reducer: newcomers get one folded state, then deltas. */
  readonly fold?: Fold<z.output<Event>, State>
  /** What happens to a subscriber whose next events are gone. Default `error`, or `snapshot` where there is a fold. */
  readonly onGap?: Policy
  /** Recent events kept in memory per key that is in use, to serve resumes without the store. Default 1,024. */
  readonly ringSize?: number
  /** And at most so many bytes of them per key, as stored. Default 4 MiB. */
  readonly ringBytes?: number
  /** A key stays ready in memory for so long after its last subscriber has left. Default 10,000 ms. */
  readonly lingerMs?: number
  /** The folded state is saved after so many events. Default 500. */
  readonly checkpointEvery?: number
  /** Hears of failures that no caller waits for. Default: `console.error`. */
  readonly onError?: (error: Error) => void
  readonly clock?: Clock
}

/** What a subscription delivers, from the options of its topic. */
export type TopicItem<Event, State, Policy extends GapPolicy> =
  | Event
  | ([State] extends [never] ? never : Snapshot<State>)
  | ('latest' extends Policy ? Gap : never)

export interface PublishOptions {
  /** The same key within 24 hours appends once and returns the first cursor. At most 200 bytes. */
  readonly idempotencyKey?: string
}

export interface Published {
  /** The event's cursor. */
  readonly id: Cursor
  /** True when the idempotency key was known, and nothing was appended. */
  readonly duplicate: boolean
}

/** What a slow reader may ask for without being told of gaps. */
type Lossless<Event> = Exclude<WhenSlow<Event>, { readonly policy: 'drop-oldest' }>

export interface SubscribeOptions<Event, Slow extends WhenSlow<Event> = Lossless<Event>> {
  /** Go on after this cursor: the id of the last event received. */
  readonly after?: string | undefined
  /** Where a newcomer begins. Default `end`: only what is published from now on. A topic with a fold gives its state instead. */
  readonly from?: 'start' | 'end'
  /** Ends the stream when aborted, also while it waits. */
  readonly signal?: AbortSignal | undefined
  /** Skips the events for which it returns false, before they cost anything on the wire. */
  readonly filter?: (event: Event) => boolean
  /** What happens while events come faster than they are taken. Default `wait`: nothing is lost. */
  readonly whenSlow?: Slow
}

export interface Topic<Input, Event, Item> {
  readonly name: string
  /**
   * Appends an event to a key's log. When the promise resolves, the event is as durable as the store makes it.
   *
   * @throws SluiceError `EVENT_INVALID` or `KEY_INVALID` (nothing was appended), `STORE_UNAVAILABLE` (nothing was
   *   appended), `OUTCOME_UNKNOWN` (retry with the same `idempotencyKey`).
   */
  publish(key: string, event: Input, options?: PublishOptions): Promise<Published>
  /**
   * Every retained event of the key after the cursor, in order, each exactly once, and then what comes. Return it
   * from a subscription as it is: a quiet subscription can then be resumed too.
   *
   * @throws SluiceError from the iteration: `CURSOR_INVALID`, `GAP` under the policy `error`, or `STALLED`.
   */
  subscribe(key: string, options?: SubscribeOptions<Event>): TopicStream<Item>
  /** As above, with a `Gap` where a reader that was too slow has lost events. */
  subscribe(key: string, options: SubscribeOptions<Event, WhenSlow<Event>>): TopicStream<Item | Gap>
  /** History, newest page first. */
  read(key: string, options: HistoryOptions): Promise<HistoryPage<Event>>
}

/**
 * Creates a topic.
 *
 * @throws RangeError for a name or a bound that makes no sense.
 * @example
 * ```ts
 * const room = createTopic({ name: 'room', event: RoomEvent, store, retain: { maxEvents: 10_000 } })
 * const { id } = await room.publish('general', { kind: 'message', text: 'hi' })
 * ```
 */
export function createTopic<
  Event extends z.ZodType,
  State = never,
  Policy extends GapPolicy = [State] extends [never] ? 'error' : 'snapshot',
>(
  options: TopicOptions<Event, State, Policy>,
): Topic<z.input<Event>, z.output<Event>, TopicItem<z.output<Event>, State, Policy>> {
  checkTopicName(options.name)
  type Value = z.output<Event>
  const { name, event: schema, retain, fold, clock = systemClock } = options
  const store = options.store ?? memoryStore({ clock })
  const onError = options.onError ?? (error => console.error(`[sluice] topic "${name}":`, error))
  const logs = new Logs<Value>({
    topic: name,
    store,
    // Written by publish() below, after validation.
    decode: payload => unpackPayload(payload) as Value,
    isLast: null,
    // A state is opaque to everything between the fold and the subscriber.
    fold: fold as Fold<Value, unknown> | undefined,
    retain,
    onGap: options.onGap ?? (fold ? 'snapshot' : 'error'),
    ringSize: options.ringSize ?? 1024,
    ringBytes: options.ringBytes ?? 4 * 1024 * 1024,
    lingerMs: options.lingerMs ?? 10_000,
    checkpointEvery: options.checkpointEvery ?? 500,
    clock,
    onError,
  })

  return {
    name,
    async publish(key, input, { idempotencyKey } = {}) {
      const log = new Log(store, name, key)
      const event = await parseEvent(schema, input, log)
      const record = {
        payload: packPayload(event),
        at: clock.now(),
        ...(idempotencyKey && { idempotencyKey }),
      }
      // With a fold, the log is trimmed after a checkpoint instead: see snapshot.ts.
      const appended = await store.append(log.name, [record], fold || !retain ? {} : { retain })
      const offset = appended.offsets[0] as Offset // one record, one offset
      const duplicate = appended.duplicates[0] === true
      if (!duplicate) logs.offer(key, appended.epoch, { offset, at: record.at, payload: record.payload })
      if (fold) logs.checkpoint(key, offset)
      return {
        id: log.cursorAt({ epoch: appended.epoch, offset }),
        duplicate,
      }
    },
    subscribe(key: string, subscribeOptions: SubscribeOptions<Value, WhenSlow<Value>> = {}) {
      // The gaps and states that the policies add are in the type of what is delivered, not of the topic's events.
      return logs.subscribe(key, subscribeOptions) as TopicStream<never>
    },
    read(key, historyOptions) {
      return readHistory<Value>(
        new Log(store, name, key),
        payload => unpackPayload(payload) as Value,
        historyOptions,
      )
    },
  }
}

async function parseEvent<Event extends z.ZodType>(
  schema: Event,
  input: z.input<Event>,
  log: Log,
): Promise<z.output<Event>> {
  const parsed = await schema.safeParseAsync(input)
  if (!parsed.success) {
    throw new SluiceError(
      'EVENT_INVALID',
      `This is not an event of ${log}; nothing was appended. ${z.prettifyError(parsed.error)}`,
      { data: { issues: parsed.error.issues.map(issue => ({ path: issue.path, message: issue.message })) } },
    )
  }
  const event: unknown = parsed.data
  if (typeof event === 'object' && event !== null && '$sluice' in event) {
    throw new SluiceError(
      'EVENT_INVALID',
      `An event of ${log} has a member "$sluice", by which gaps and snapshots are told from events. Rename it; nothing was appended.`,
    )
  }
  return parsed.data
}
