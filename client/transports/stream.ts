/**
 * All subscriptions over one streamed HTTP response, or two while some have just come or cannot be moved. Which
 * subscription is on which response is decided in stream-plan.ts; here it is carried out. Wire: docs/wire.md, section
 * 6.
 *
 * Where somebody on the way holds responses back until they are complete, `connected`, which the server sends at once,
 * does not come. Then the same requests ask for responses that end with their first news, and are sent again and
 * again. When such a response turns out to be here well before its end, nobody holds them back any more.
 *
 * A consumer that has no room stops the reading of the response, for a while: see patience.ts.
 */
import { SluiceError } from '../../shared/errors.ts'
import type { Timer } from '../../shared/clock.ts'
import { climbing, type LesserTransport } from '../connection/climber.ts'
import type { RequestId } from '../../shared/protocol/messages.ts'
import type { ResolvedOptions } from '../options.ts'
import type { EventResponse } from './event-response.ts'
import { fullOne, roomFor, type Sharer } from './patience.ts'
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
import type { Facts } from './stream-plan.ts'
import { goesAsJson } from './json-input.ts'
import { openStreamResponse } from './stream-response.ts'
import type { AskedSubscription, Loss, Received, TransportReports } from './transport.ts'

/** What is learnt of the way to the server, and outlives a transport. */
interface StreamPath {
  /** Whether somebody on it passes on complete responses only. */
  heldBack: 'no' | 'suspected' | 'yes'
}

/** Of each link, by its options. */
const paths = new WeakMap<ResolvedOptions, StreamPath>()

/** How long nothing must have been asked for or taken back before responses are folded into one, in milliseconds. */
const quietAfterMs = 500

/** How long a response that we have closed keeps its place: it may still be open for who counts them on the way. */
const closingMs = 30

/** How long the first response is held where responses are held back: it tells soon whether there is a server. */
const firstHoldMs = 500

/** How long the others are held: less than what common proxies allow. The server may do it for less. */
const holdMs = 25_000

interface Entry extends Sharer {
  readonly asked: AskedSubscription
  /** It was on a response before. */
  again: boolean
  /** The consumer has been told that it has started. */
  started: boolean
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

/** Who uses this looks for something better. */
export const open = climbing('stream', openStream)

function openStream(options: ResolvedOptions, reports: TransportReports): LesserTransport {
  const path: StreamPath = paths.get(options) ?? { heldBack: 'no' }
  paths.set(options, path)
  const { clock, connectTimeoutMs, onError } = options
  const entries = new Map<RequestId, Entry>()
  let book = emptyBook
  const responses = new Map<number, Response>()
  let lastKey = 0
  /** When something was last asked for or taken back. */
  let changedAt = 0

  const timers = new Set<Timer>()
  let arranging = false
  let quietTimer: Timer | null = null
  let opened = false
  let toldStuck = false
  let over = false

  const isMovable = (entry: Entry | undefined) => entry?.asked.wish().lastEventId !== undefined

  const changed = () => {
    changedAt = clock.now()
    arrangeSoon()
  }

  /** One timer, set anew when it fires early. */
  const foldLater = (ms: number) => {
    quietTimer ??= clock.after(ms, () => {
      quietTimer = null
      const leftMs = changedAt + quietAfterMs - clock.now()
      if (leftMs > 0) foldLater(leftMs)
      else arrange()
    })
  }

  /** What is asked for and taken back in one turn of the event loop is one request. */
  const arrangeSoon = () => {
    if (arranging) return
    arranging = true
    queueMicrotask(() => {
      arranging = false
      arrange()
    })
  }

  const arrange = () => {
    if (over) return
    const facts: Facts = {
      isMovable: id => isMovable(entries.get(id)),
      // One without room would stop whomever it shares a response with.
      quiet: clock.now() - changedAt >= quietAfterMs && !fullOne(entries.values()),
    }
    for (let action = nextAction(book, facts); action; action = nextAction(book, facts)) {
      if (action.do === 'open') post(action.ids, connectTimeoutMs)
      else for (const key of action.keys) closeResponse(key)
    }
    if (!facts.quiet && mayBeFolded(book)) foldLater(quietAfterMs)
    const stuck = isStuck(book, facts)
    if (stuck && !toldStuck) {
      const message =
        'Both responses carry subscriptions that cannot be moved, so a new one waits until one of those ends.'
      onError(new SluiceError('STREAMS_TAKEN', message))
    }
    toldStuck = stuck
  }

  const post = (ids: readonly RequestId[], withinMs: number) => {
    const key = (lastKey += 1)
    const carried = ids.flatMap(id => entries.get(id) ?? [])
    for (const entry of carried) {
      if (entry.again) entry.asked.askAgain()
      entry.on = key
    }
    book = withOpening(book, key, ids)
    const { heldBack } = path
    const proven = heldBack === 'yes' && opened
    const held = heldBack === 'no' ? undefined : proven ? holdMs : firstHoldMs
    const http = openStreamResponse(
      options,
      {
        asked: carried.map(({ asked, again }) =>
          again ? { ...asked, wish: () => ({ ...asked.wish(), again }) } : asked,
        ),
        holdMs: held,
        // Nothing within half the time: the other half is for finding out whether the answer is held back.
        timeoutMs: withinMs / 2 + (held ?? 0),
        room() {
          const full = fullOne(entries.values(), key)
          return full ? roomFor(full, clock, () => letGo(full, key)) : null
        },
      },
      {
        connected: () => connected(response),
        received: message => received(response, message),
        ended: () => ended(response),
        lost: loss => responseLost(response, loss),
      },
    )
    const response: Response = {
      key,
      http,
      holdMs: held,
      postedAt: clock.now(),
      connectedAt: null,
      brought: false,
    }
    responses.set(key, response)
    for (const entry of carried) entry.again = true
  }

  /** Ours to close: those on it are asked for anew, after their cursors. */
  const closeResponse = (key: number) => {
    responses.get(key)?.http.close()
    responses.delete(key)
    takeOff(key)
    book = withClosing(book, key)
    const free = () => {
      timers.delete(timer)
      book = withoutResponse(book, key)
      arrange()
    }
    const timer = clock.after(closingMs, free, { keepAlive: true })
    timers.add(timer)
  }

  const carriedBy = (key: number) => [...entries.values()].filter(({ on }) => on === key)

  /** Those on a response are on none. */
  const takeOff = (key: number): Entry[] => {
    const carried = carriedBy(key)
    for (const entry of carried) entry.on = null
    return carried
  }

  /** If it has neighbours, and its response can be replaced by one without it. */
  const letGo = (entry: Entry, key: number): boolean => {
    const carried = carriedBy(key)
    const alone = carried.length < 2 || !carried.includes(entry)
    if (over || alone || !carried.every(isMovable)) return false
    book = without(book, entry.asked.id, { over: false })
    changed()
    const why = new SluiceError('CONSUMER_TOO_SLOW', 'The others went on without it.')
    interrupt([entry], { why, served: true })
    return true
  }

  const connected = (response: Response) => {
    if (response.holdMs !== undefined) path.heldBack = 'yes'
    response.connectedAt = clock.now()
    book = withOpen(book, response.key)
    reportOpened()
    if (over) return
    reports.heard()
    arrangeSoon()
  }

  const received = (response: Response, message: Received) => {
    if (over) return
    if (message.type === 'reconnect') {
      // This server goes away. Another response may come from another.
      const why = new SluiceError('DRAINING', 'The server asked to connect anew.')
      return responseLost(response, { why, served: true })
    }
    if (!('id' in message)) return reports.received(message)
    const { id } = message
    const entry = entries.get(id)
    if (entry?.on !== response.key) {
      book = withUnwanted(book, response.key)
      return arrangeSoon()
    }
    if (message.type === 'started') {
      if (entry.started) return // it has only been moved
      entry.started = true
    }
    response.brought = true
    const wasMovable = isMovable(entry)
    if (message.type === 'stopped' || message.type === 'error') {
      entries.delete(id)
      book = without(book, id, { over: true })
      arrangeSoon()
    }
    reports.received(message)
    if (!wasMovable && isMovable(entry)) arrangeSoon()
  }

  const ended = (response: Response) => {
    if (over) return
    const { key, holdMs: held, postedAt, connectedAt, brought } = response
    if (isEmpty(key)) return drop(response)
    const now = clock.now()
    // A server that ends responses before their time, and for nothing, is not to be asked again without delay.
    const inVain = held !== undefined && !brought && now - postedAt < held / 2
    if (held === undefined || connectedAt === null || inVain) {
      const why = new SluiceError('CONNECTION_LOST', 'The response ended before its subscriptions did.')
      return responseLost(response, { why, served: brought })
    }
    // It was here long before it ended.
    if (now - connectedAt >= held / 2) path.heldBack = 'no'
    const [resumable, cut] = split(takeOff(key), isMovable)
    drop(response)
    letWait(resumable)
    if (cut.length === 0) return
    const why = new SluiceError(
      'CONNECTION_LOST',
      'Responses are held back on the way, and this one had to end: what has no cursor begins anew.',
    )
    interrupt(cut, { why, served: brought })
  }

  const responseLost = (response: Response, loss: Loss) => {
    if (over) return
    const { key, holdMs: held, connectedAt } = response
    if (isEmpty(key)) {
      drop(response)
      // It was a probe.
      if (connectedAt === null && entries.size === 0) lose(loss)
      return
    }
    if (loss.unanswered) {
      // Perhaps it was answered, and the answer is held back: that is found out once.
      path.heldBack = path.heldBack === 'suspected' ? 'no' : 'suspected'
      if (held === undefined) {
        const carried = takeOff(key)
        drop(response)
        return letWait(carried)
      }
    }
    const others = book.responses.some(other => other.key !== key && other.at !== 'closing')
    if (loss.unsupported || !others) return lose(loss)
    const carried = takeOff(key)
    drop(response)
    interrupt(carried, loss)
  }

  /** They are to be asked for again by who has asked for them. */
  const interrupt = (cut: readonly Entry[], loss: Loss) => {
    const ids = cut.map(({ asked }) => asked.id)
    for (const id of ids) entries.delete(id)
    reports.interrupted(ids, loss)
  }

  /** They go on with the next response. */
  const letWait = (carried: readonly Entry[]) => {
    for (const { asked } of carried) book = withAsked(book, asked.id)
  }

  /** Nobody wants anything of it. */
  const isEmpty = (key: number) => book.responses.every(other => other.key !== key || other.ids.length === 0)

  const drop = ({ key, http }: Response) => {
    http.close()
    responses.delete(key)
    book = withoutResponse(book, key)
    arrangeSoon()
  }

  const reportOpened = () => {
    if (opened || over) return
    opened = true
    reports.opened()
  }

  const lose = (loss: Loss) => {
    close()
    reports.lost(loss)
  }

  const close = () => {
    over = true
    for (const { http } of responses.values()) http.close()
    responses.clear()
    for (const timer of timers) timer.cancel()
    quietTimer?.cancel()
  }

  // After whoever made us has asked for what is wanted.
  queueMicrotask(() => {
    if (entries.size === 0) reportOpened()
  })

  return {
    kind: 'stream',
    request: null, // queries and mutations are HTTP requests of their own
    subscribe(asked) {
      if (over || !goesAsJson(asked, options, reports)) return
      asked.flow?.heed()
      entries.set(asked.id, { asked, on: null, again: false, started: false, stoppedMs: 0 })
      book = withAsked(book, asked.id)
      changed()
    },
    unsubscribe(id) {
      if (!entries.delete(id)) return
      book = without(book, id, { over: false })
      changed()
    },
    /** Nothing can be asked over a response. So a change of the network, which kills most, costs all of them. */
    probe(hint, withinMs) {
      if (over) return
      if (hint === 'visible') {
        for (const { http } of responses.values()) http.check(withinMs)
      } else if (responses.size > 0) {
        const why = new SluiceError('CONNECTION_LOST', 'The network changed; the stream is opened anew.')
        lose({ why, atOnce: true })
      } else {
        post([], withinMs)
      }
    },
    movable: () => [...entries.values()].every(isMovable),
    close,
  }
}

function split<T>(items: readonly T[], test: (item: T) => boolean): [T[], T[]] {
  return [items.filter(test), items.filter(item => !test(item))]
}
