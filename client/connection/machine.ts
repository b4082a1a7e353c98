/**
 * The connection as a machine: (state, event) → state, and what to do about the transport. Pure: time, chance and the
 * choice of a transport come in as data; connection.ts carries out what the step means.
 *
 *              want                opened
 *      idle ──────────▶ opening ──────────▶ ready ──┐
 *       ▲                │   ▲                │     │ hint: probe
 *       │           lost │   │ due, hint      │ ◀───┘
 *       │                ▼   │                │
 *       │                waiting ◀────────────┘ lost, reconnect
 *       │                   │
 *       └─ rest ────────────┴─ also from opening and ready
 *
 *      closed ◀─ close, or lost for good ─ from any of them; nothing leads out
 */
import type { SluiceError } from '../../shared/errors.ts'

export type TransportKind = 'websocket' | 'stream' | 'sse'

/** What a connection runs over: a transport of its own, or the connection of another tab. */
export type Via = TransportKind | 'tab'

/** Why a connection is not there: an error of the table, whose message is fit for a person. */
export type Reason = SluiceError

/** What is known of the connection. `since`, `until` and `notBefore` are in milliseconds since the epoch. */
export type ConnectionState =
  /** Nothing needs a connection. */
  | { readonly at: 'idle'; readonly since: number }
  /** `attempt` counts the failures in a row before this one. */
  | {
      readonly at: 'opening'
      readonly since: number
      readonly transport: TransportKind
      readonly attempt: number
    }
  /** `heard`: something was received; a connection that is merely open proves nothing. */
  | {
      readonly at: 'ready'
      readonly since: number
      readonly transport: Via
      readonly attempt: number
      readonly heard: boolean
    }
  /** The next attempt begins at `until`; a hint may advance it, though not before `notBefore`, the server's wish. */
  | {
      readonly at: 'waiting'
      readonly since: number
      readonly attempt: number
      readonly until: number
      readonly notBefore: number
      readonly why: Reason
    }
  | { readonly at: 'closed'; readonly since: number; readonly why: Reason }

/** What made somebody think that the network has changed, or that somebody looks at the page again. */
export type Hint = 'network' | 'visible'

/** What happened; `why` is for those who lose their transport by it. */
export type ConnectionEvent =
  /** A subscription or a request needs the connection. */
  | { readonly type: 'want' }
  /** Nothing has needed it for a while. */
  | { readonly type: 'rest'; readonly why: Reason }
  /** `transport`: what it turned out to be. */
  | { readonly type: 'opened'; readonly transport: Via }
  /** The first thing was received on it. */
  | { readonly type: 'heard' }
  /**
   * It broke or could not be opened; `afterMs` is how long the server asked to be left alone, and `served` says that
   * it ended politely after it had brought something. `atOnce`: there is no reason to wait, for another transport may
   * be had, or a hint has shown what was a dead line already.
   */
  | {
      readonly type: 'lost'
      readonly why: Reason
      readonly final?: boolean
      readonly afterMs?: number
      readonly served?: boolean
      readonly atOnce?: boolean
    }
  /** The time to wait has passed. */
  | { readonly type: 'due' }
  | { readonly type: 'hint'; readonly hint: Hint; readonly why: Reason }
  /** A better transport works, and is to be used instead. */
  | { readonly type: 'better'; readonly transport: Via; readonly why: Reason }
  /** The server asked to be left for another connection. `spread`: the moment was chosen at random already. */
  | { readonly type: 'reconnect'; readonly why: Reason; readonly spread?: boolean }
  /** The application wants no more of it. */
  | { readonly type: 'close'; readonly why: Reason }

/**
 * What is to be done about the transport that there is. The rest follows from where the step leads: into `opening`, to
 * a new transport; into `waiting`, to the one timer, which ends with it; into `closed`, to telling everybody.
 */
export type Move =
  /** Close it at once. */
  | 'abandon'
  /** Close it when it has brought the answers that are still due. */
  | 'retire'
  /** Make sure that the peer still answers. */
  | 'probe'

/** What the machine needs to know of the world to decide. */
export interface Plan {
  readonly now: number
  /** The transport that the next attempt should use. */
  readonly transport: () => TransportKind
  /** How long to wait after so many failures in a row. */
  readonly delayMs: (attempt: number) => number
}

export type Step = readonly [ConnectionState, Move?]

/**
 * How long a connection has to live, and to have received something, before its loss counts as the first failure and
 * not as one more: a server that accepts and drops at once must not be called again without delay.
 */
export const healthyAfterMs = 2_000

/** How old an attempt has to be for a change of the network to begin it anew: a healthy one would have opened. */
const staleAfterMs = 2_000

export function idle(now: number): ConnectionState {
  return { at: 'idle', since: now }
}

export function step(
  state: ConnectionState,
  event: ConnectionEvent,
  { now, transport, delayMs }: Plan,
): Step {
  const { at, since } = state
  // Nothing leads out of it. Elsewhere, too, an event that means nothing in a state leaves all as it is.
  if (at === 'closed') return [state]
  const attempt = at === 'idle' ? 0 : state.attempt
  const healthy = at === 'ready' && state.heard && now - since >= healthyAfterMs
  const failures = healthy ? 0 : attempt + 1
  const abandon = at === 'opening' || at === 'ready' ? 'abandon' : undefined

  const open = (attempt: number, move?: Move): Step => [
    { at: 'opening', since: now, transport: transport(), attempt },
    move,
  ]
  /** @param afterMs how long no hint makes it try again; left out: none does before its time. */
  const wait = (why: Reason, attempt: number, move?: Move, afterMs?: number): Step => {
    const leisure = now + delayMs(attempt)
    const notBefore = afterMs === undefined ? leisure : now + afterMs
    return [{ at: 'waiting', since: now, attempt, until: Math.max(notBefore, leisure), notBefore, why }, move]
  }

  switch (event.type) {
    case 'want':
      return at === 'idle' ? open(0) : [state]
    case 'rest':
      return at === 'idle' ? [state] : [idle(now), abandon]
    case 'opened':
      if (at !== 'opening') return [state]
      return [{ at: 'ready', since: now, transport: event.transport, attempt, heard: false }]
    case 'heard':
      return [at === 'ready' && !state.heard ? { ...state, heard: true } : state]
    case 'lost': {
      if (!abandon) return [state]
      const { why, afterMs = 0 } = event
      const inARow = at === 'ready' && event.served ? 0 : failures
      if (event.atOnce) return open(inARow, abandon)
      if (event.final) return [{ at: 'closed', since: now, why }, abandon]
      return wait(why, inARow, abandon, afterMs)
    }
    case 'due':
      return at === 'waiting' ? open(attempt) : [state]
    case 'better':
      if (at !== 'ready') return [state]
      return [{ at, since: now, transport: event.transport, attempt: 0, heard: true }, 'retire']
    case 'hint':
      if (at === 'ready') return [state, 'probe']
      if (at === 'waiting' && now >= state.notBefore) return open(attempt)
      // An attempt is under way, and has its own limit of time. That is long where the network it set out on is gone.
      if (at !== 'opening' || event.hint !== 'network' || now - since < staleAfterMs) return [state]
      return open(attempt, abandon)
    case 'reconnect': {
      if (at !== 'ready') return [state]
      // Not from a server that sends away everybody who comes: that would be a storm.
      if (event.spread && failures === 0) return open(0, 'retire')
      // It goes away, or wants fewer clients: the delay spreads those who are asked at the same moment.
      return wait(event.why, failures, 'retire')
    }
    case 'close':
      return [{ at: 'closed', since: now, why: event.why }, abandon]
  }
}
