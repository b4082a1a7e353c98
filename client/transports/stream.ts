/**
 * All subscriptions over one streamed HTTP response, or two while some have just come or cannot be moved. Which
 * subscription is on which response is decided in stream-plan.ts; here it is carried out. Wire: docs/wire.md, section
 * 6.
 *
 * Where somebody on the way holds responses back until they are complete, `connected`, which the server sends at once,
 * does not come. Then the same requests ask for responses that end with their first news, and are sent again and
 * again. When such a response turns out to be here well before its end, nobody holds them back any more.
 *
 * A consumer that has no room stops the reading of the response, and so the neighbours on it, too: over HTTP there is
 * no other way to tell the server. Nothing is lost, and what is held is bounded. When that has taken too long, it is
 * let go of, and asks again, after its cursor, when it has taken what it has: then on another response than they.
 */
import { SluiceError } from '../../shared/errors.ts'
import type { Timer } from '../../shared/clock.ts'
import type { RequestId } from '../../shared/protocol/messages.ts'
import type { Hint } from '../connection/machine.ts'
import type { ResolvedOptions } from '../options.ts'
import type { EventResponse } from './event-response.ts'
import {
  emptyBook,
  isStuck,
  mayBeFolded,
  nextAction,
  withAsked,
  withClosing,
  withOpen,
  withOpening,
  without,
  withoutResponse,
  withUnwanted,
} from './stream-plan.ts'
import type { Book, Facts } from './stream-plan.ts'
import { openStreamResponse } from './stream-response.ts'
import type { AskedSubscription, Loss, Received, Transport, TransportReports } from './transport.ts'

/** What is learnt of the way to the server, and outlives a transport. */
export interface StreamPath {
  /** Whether somebody on it passes on complete responses only. */
  heldBack: 'no' | 'suspected' | 'yes'
}

/** How long nothing must have been asked for or taken back before responses are folded into one, in milliseconds. */
const quietAfterMs = 500

/** How long a response that we have closed keeps its place: it may still be open for who counts them on the way. */
const closingMs = 30

/** How long in all a consumer without room may stop its neighbours, in milliseconds. */
const maxStoppedMs = 500

/** How long the first response is held where responses are held back: it tells soon whether there is a server. */
const firstHoldMs = 500

/** How long the others are held: less than what common proxies allow. The server may do it for less. */
const holdMs = 25_000

interface Entry {
  readonly asked: AskedSubscription
  /** The response that carries it. */
  on: number | null
  /** It was on a response before. */
  again: boolean
  /** The consumer has been told that it has started. */
  started: boolean
  /** How long its neighbours were stopped for it, in milliseconds. */
  stoppedMs: number
}

interface Response {
  readonly key: number
  readonly http: EventResponse
  readonly holdMs: number | undefined
  readonly postedAt: number
  connectedAt: number | null
  /** It brought something new: whatever ends it now, it was of use. */
  brought: boolean
}

export class StreamTransport implements Transport {
  readonly kind = 'stream'
  /** Queries and mutations are HTTP requests of their own. */
  readonly request = null
  readonly #options: ResolvedOptions
  readonly #reports: TransportReports
  readonly #path: StreamPath

  readonly #entries = new Map<RequestId, Entry>()
  #book: Book = emptyBook
  readonly #responses = new Map<number, Response>()
  #lastKey = 0
  /** When something was last asked for or taken back. */
  #changedAt = 0

  readonly #timers = new Set<Timer>()
  #arranging = false
  #quietTimer: Timer | null = null
  #opened = false
  #toldStuck = false
  #over = false

  constructor(options: ResolvedOptions, reports: TransportReports, path: StreamPath) {
    this.#options = options
    this.#reports = reports
    this.#path = path
    // After whoever made us has asked for what is wanted.
    queueMicrotask(() => {
      if (this.#entries.size === 0) this.#open()
    })
  }

  subscribe(asked: AskedSubscription): void {
    if (this.#over) return
    if (asked.flow) asked.flow.heeded = true
    this.#entries.set(asked.id, { asked, on: null, again: false, started: false, stoppedMs: 0 })
    this.#book = withAsked(this.#book, asked.id)
    this.#changed()
  }

  unsubscribe(id: RequestId): void {
    if (!this.#entries.delete(id)) return
    this.#book = without(this.#book, id, { over: false })
    this.#changed()
  }

  /** Nothing can be asked over a response. So a change of the network, which kills most, costs all of them. */
  probe(hint: Hint, withinMs: number): void {
    if (this.#over) return
    if (hint === 'visible') {
      for (const { http } of this.#responses.values()) http.check(withinMs)
    } else if (this.#responses.size > 0) {
      const why = new SluiceError('CONNECTION_LOST', 'The network changed; the stream is opened anew.')
      this.#lose({ why, retry: true, atOnce: true })
    } else {
      this.#post([], withinMs)
    }
  }

  close(): void {
    this.#over = true
    for (const { http } of this.#responses.values()) http.close()
    this.#responses.clear()
    for (const timer of this.#timers) timer.cancel()
    this.#quietTimer?.cancel()
  }

  #changed(): void {
    this.#changedAt = this.#options.clock.now()
    this.#arrangeSoon()
  }

  /** One timer, set anew when it fires early. */
  #foldLater(ms: number): void {
    const { clock } = this.#options
    this.#quietTimer ??= clock.after(ms, () => {
      this.#quietTimer = null
      const leftMs = this.#changedAt + quietAfterMs - clock.now()
      if (leftMs > 0) this.#foldLater(leftMs)
      else this.#arrange()
    })
  }

  /** What is asked for and taken back in one turn of the event loop is one request. */
  #arrangeSoon(): void {
    if (this.#arranging) return
    this.#arranging = true
    queueMicrotask(() => {
      this.#arranging = false
      this.#arrange()
    })
  }

  #arrange(): void {
    if (this.#over) return
    const facts: Facts = {
      isMovable: id => this.#entries.get(id)?.asked.cursor() !== undefined,
      // One without room would stop whomever it shares a response with.
      quiet: this.#options.clock.now() - this.#changedAt >= quietAfterMs && !this.#full(),
    }
    for (let action = nextAction(this.#book, facts); action; action = nextAction(this.#book, facts)) {
      if (action.do === 'open') this.#post(action.ids, this.#options.connectTimeoutMs)
      else for (const key of action.keys) this.#closeResponse(key)
    }
    if (!facts.quiet && mayBeFolded(this.#book)) this.#foldLater(quietAfterMs)
    if (!isStuck(this.#book, facts)) this.#toldStuck = false
    else if (!this.#toldStuck) {
      this.#toldStuck = true
      this.#options.onError(
        new SluiceError(
          'STREAMS_TAKEN',
          'Both responses carry subscriptions that cannot be moved, so a new one waits until one of those ends.',
        ),
      )
    }
  }

  #post(ids: readonly RequestId[], withinMs: number): void {
    const key = (this.#lastKey += 1)
    const entries = ids.flatMap(id => this.#entries.get(id) ?? [])
    for (const entry of entries) {
      if (entry.again) entry.asked.askAgain()
      entry.on = key
    }
    this.#book = withOpening(this.#book, key, ids)
    const { heldBack } = this.#path
    const proven = heldBack === 'yes' && this.#opened
    const held = heldBack === 'no' ? undefined : proven ? holdMs : firstHoldMs
    const http = openStreamResponse(
      this.#options,
      {
        asked: entries.map(({ asked, again }) => (again ? { ...asked, again } : asked)),
        holdMs: held,
        // Nothing within half the time: the other half is for finding out whether the answer is held back.
        timeoutMs: withinMs / 2 + (held ?? 0),
        room: () => this.#room(key),
      },
      {
        connected: () => this.#connected(response),
        received: (message, size) => this.#received(response, message, size),
        ended: () => this.#ended(response),
        lost: loss => this.#responseLost(response, loss),
      },
    )
    const postedAt = this.#options.clock.now()
    const response: Response = { key, http, holdMs: held, postedAt, connectedAt: null, brought: false }
    this.#responses.set(key, response)
    for (const entry of entries) entry.again = true
  }

  /** Ours to close: those on it are asked for anew, after their cursors. */
  #closeResponse(key: number): void {
    this.#responses.get(key)?.http.close()
    this.#responses.delete(key)
    this.#takeOff(key)
    this.#book = withClosing(this.#book, key)
    const timer = this.#options.clock.after(
      closingMs,
      () => {
        this.#timers.delete(timer)
        this.#book = withoutResponse(this.#book, key)
        this.#arrange()
      },
      { keepAlive: true },
    )
    this.#timers.add(timer)
  }

  /** Those on a response, or all. */
  #carried(key?: number): Entry[] {
    return [...this.#entries.values()].filter(({ on }) => key === undefined || on === key)
  }

  /** Those on a response are on none. */
  #takeOff(key: number): Entry[] {
    const carried = this.#carried(key)
    for (const entry of carried) entry.on = null
    return carried
  }

  /** One whose consumer has no room. */
  #full(key?: number): Entry | undefined {
    return this.#carried(key).find(({ asked }) => asked.flow?.full)
  }

  #room(key: number): Promise<void> | null {
    const entry = this.#full(key)
    return entry ? this.#roomFor(entry, key) : null
  }

  /** Settles when it has room, or its neighbours need not wait for that any more. */
  async #roomFor(entry: Entry, key: number): Promise<void> {
    const { clock } = this.#options
    const from = clock.now()
    let timer: Timer | undefined
    const patience = new Promise<void>(resolve => {
      timer = clock.after(maxStoppedMs - entry.stoppedMs, () => {
        if (this.#letGo(entry, key)) resolve()
      })
    })
    await Promise.race([entry.asked.flow?.whenRoom(), patience])
    timer?.cancel()
    entry.stoppedMs += clock.now() - from
  }

  /** If it has neighbours, and its response can be replaced by one without it. */
  #letGo(entry: Entry, key: number): boolean {
    const carried = this.#carried(key)
    const alone = carried.length < 2 || !carried.includes(entry)
    if (this.#over || alone || !carried.every(({ asked }) => asked.cursor() !== undefined)) return false
    this.#book = without(this.#book, entry.asked.id, { over: false })
    this.#changed()
    const why = new SluiceError('CONSUMER_TOO_SLOW', 'The others went on without it.')
    this.#interrupt([entry], { why, retry: true, served: true })
    return true
  }

  #connected(response: Response): void {
    if (response.holdMs !== undefined) this.#path.heldBack = 'yes'
    response.connectedAt = this.#options.clock.now()
    this.#book = withOpen(this.#book, response.key)
    this.#open()
    if (this.#over) return
    this.#reports.heard()
    this.#arrangeSoon()
  }

  #received(response: Response, message: Received, size: number): void {
    if (this.#over) return
    if (message.type === 'reconnect') {
      // This server goes away. Another response may come from another.
      const why = new SluiceError('DRAINING', 'The server asked this client to connect anew.')
      return this.#responseLost(response, { why, retry: true, served: true })
    }
    if (!('id' in message)) return this.#reports.received(message)
    const { id } = message
    const entry = this.#entries.get(id)
    if (!entry || entry.on !== response.key) {
      this.#book = withUnwanted(this.#book, response.key)
      return this.#arrangeSoon()
    }
    if (message.type === 'started') {
      if (entry.started) return // it has only been moved
      entry.started = true
    }
    response.brought = true
    const wasMovable = entry.asked.cursor() !== undefined
    if (message.type === 'stopped' || message.type === 'error') {
      this.#entries.delete(id)
      this.#book = without(this.#book, id, { over: true })
      this.#arrangeSoon()
    }
    this.#reports.received(message, size)
    if (!wasMovable && entry.asked.cursor() !== undefined) this.#arrangeSoon()
  }

  #ended(response: Response): void {
    if (this.#over) return
    const { key, holdMs: held, postedAt, connectedAt, brought } = response
    if (this.#isEmpty(key)) return this.#drop(response)
    const now = this.#options.clock.now()
    // A server that ends responses before their time, and for nothing, is not to be asked again without delay.
    const inVain = held !== undefined && !brought && now - postedAt < held / 2
    if (held === undefined || connectedAt === null || inVain) {
      const why = new SluiceError('CONNECTION_LOST', 'The response ended before its subscriptions did.')
      return this.#responseLost(response, { why, retry: true, served: brought })
    }
    // It was here long before it ended.
    if (now - connectedAt >= held / 2) this.#path.heldBack = 'no'
    const carried = this.#takeOff(key)
    const [resumable, cut] = split(carried, ({ asked }) => asked.cursor() !== undefined)
    this.#drop(response)
    this.#letWait(resumable)
    if (cut.length === 0) return
    const why = new SluiceError(
      'CONNECTION_LOST',
      'Responses are held back on the way, and this one had to end: what has no cursor begins anew.',
    )
    this.#interrupt(cut, { why, retry: true, served: brought })
  }

  #responseLost(response: Response, loss: Loss): void {
    if (this.#over) return
    const { key, holdMs: held, connectedAt } = response
    if (this.#isEmpty(key)) {
      this.#drop(response)
      // It was a probe.
      if (connectedAt === null && this.#entries.size === 0) this.#lose(loss)
      return
    }
    if (loss.unanswered) {
      // Perhaps it was answered, and the answer is held back: that is found out once.
      this.#path.heldBack = this.#path.heldBack === 'suspected' ? 'no' : 'suspected'
      if (held === undefined) {
        const carried = this.#takeOff(key)
        this.#drop(response)
        return this.#letWait(carried)
      }
    }
    const others = this.#book.responses.some(other => other.key !== key && other.at !== 'closing')
    if (loss.unsupported || !others) return this.#lose(loss)
    const carried = this.#takeOff(key)
    this.#drop(response)
    this.#interrupt(carried, loss)
  }

  /** They are to be asked for again by who has asked for them. */
  #interrupt(entries: readonly Entry[], loss: Loss): void {
    const ids = entries.map(({ asked }) => asked.id)
    for (const id of ids) this.#entries.delete(id)
    this.#reports.interrupted(ids, loss)
  }

  /** They go on with the next response. */
  #letWait(entries: readonly Entry[]): void {
    for (const { asked } of entries) this.#book = withAsked(this.#book, asked.id)
  }

  /** Nobody wants anything of it. */
  #isEmpty(key: number): boolean {
    return this.#book.responses.every(other => other.key !== key || other.ids.length === 0)
  }

  #drop({ key, http }: Response): void {
    http.close()
    this.#responses.delete(key)
    this.#book = withoutResponse(this.#book, key)
    this.#arrangeSoon()
  }

  #open(): void {
    if (this.#opened || this.#over) return
    this.#opened = true
    this.#reports.opened()
  }

  #lose(loss: Loss): void {
    this.close()
    this.#reports.lost(loss)
  }
}

function split<T>(items: readonly T[], test: (item: T) => boolean): [T[], T[]] {
  return [items.filter(test), items.filter(item => !test(item))]
}
