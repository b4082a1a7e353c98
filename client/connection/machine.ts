/**
 * The connection as a machine: (state, event) → state and effects. Pure: time, chance and the choice of a transport
 * come in as data; connection.ts carries the effects out.
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
import { SluiceError } from '../../shared/errors.ts'

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

export type ConnectionEvent =
  /** A subscription or a request needs the connection. */
  | { readonly type: 'want'; readonly now: number }
  /** Nothing has needed it for a while. */
  | { readonly type: 'rest'; readonly now: number; readonly why: Reason }
  /** `transport`: what it turned out to be, where that is not what was asked for. */
  | { readonly type: 'opened'; readonly now: number; readonly transport?: Via }
  /** The first thing was received on it. */
  | { readonly type: 'heard'; readonly now: number }
  /**
   * It broke or could not be opened; `afterMs` is how long the server asked to be left alone, and `served` says that
   * it ended politely after it had brought something. `atOnce`: there is no reason to wait, for another transport may
   * be had, or a hint has shown what was a dead line already.
   */
  | {
      readonly type: 'lost'
      readonly now: number
      readonly why: Reason
      readonly retry: boolean
      readonly afterMs?: number
      readonly served?: boolean
      readonly atOnce?: boolean
    }
  /** The time to wait has passed. */
  | { readonly type: 'due'; readonly now: number }
  | { readonly type: 'hint'; readonly now: number; readonly hint: Hint }
  /** A better transport works, and is to be used instead. */
  | { readonly type: 'better'; readonly now: number; readonly transport: TransportKind }
  /** The server asked to be left for another connection. `spread`: the moment was chosen at random already. */
  | { readonly type: 'reconnect'; readonly now: number; readonly why: Reason; readonly spread?: boolean }
  /** The application wants no more of it. */
  | { readonly type: 'close'; readonly now: number; readonly why: Reason }

export type Effect =
  /** Begin to open a transport; there is none now. */
  | { readonly do: 'open'; readonly transport: TransportKind }
  /** Close the transport at once. */
  | { readonly do: 'abandon'; readonly why: Reason }
  /** Close the transport when it has brought the answers that are still due. */
  | { readonly do: 'retire'; readonly why: Reason }
  /** Use the better transport from now on, and close the present one as `retire` does. */
  | { readonly do: 'adopt' }
  /** Set the one timer. */
  | { readonly do: 'wake'; readonly at: number }
  /** Cancel the one timer. */
  | { readonly do: 'hush' }
  /** Make sure that the peer still answers. */
  | { readonly do: 'probe'; readonly hint: Hint }
  /** Tell everybody on the connection that it will not come back. */
  | { readonly do: 'dismiss'; readonly why: Reason }

/** What the machine needs to know of the world to decide. */
export interface Plan {
  /** The transport that the next attempt should use. */
  readonly transport: TransportKind
  /** How long to wait after so many failures in a row. */
  readonly delayMs: (attempt: number) => number
}

export type Step = readonly [ConnectionState, ...Effect[]]

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

export function step(state: ConnectionState, event: ConnectionEvent, plan: Plan): Step {
  // The table pairs each state with each event; TypeScript cannot see that these two belong together.
  const cell = table[state.at][event.type] as Cell<ConnectionState['at'], ConnectionEvent['type']>
  return cell(state, event, plan)
}

type StateAt<At extends ConnectionState['at']> = Extract<ConnectionState, { at: At }>
type EventOf<Type extends ConnectionEvent['type']> = Extract<ConnectionEvent, { type: Type }>
type Cell<At extends ConnectionState['at'], Type extends ConnectionEvent['type']> = (
  state: StateAt<At>,
  event: EventOf<Type>,
  plan: Plan,
) => Step

/** This event means nothing in this state. */
const stay = (state: ConnectionState): Step => [state]

const table: {
  readonly [At in ConnectionState['at']]: { readonly [Type in ConnectionEvent['type']]: Cell<At, Type> }
} = {
  idle: {
    want: (_, event, plan) => open(event.now, 0, plan),
    rest: stay,
    opened: stay,
    heard: stay,
    lost: stay,
    due: stay,
    better: stay,
    hint: stay,
    reconnect: stay,
    close: (_, event) => close(event),
  },
  opening: {
    want: stay,
    rest: (_, event) => [idle(event.now), { do: 'abandon', why: event.why }],
    opened: (state, { now, transport = state.transport }) => [
      { at: 'ready', since: now, transport, attempt: state.attempt, heard: false },
    ],
    heard: stay,
    lost: (state, event, plan) => fail(state.attempt + 1, event, plan),
    due: stay,
    better: stay,
    // An attempt is under way, and has its own limit of time. That is long where the network it set out on is gone.
    hint: (state, event, plan) => {
      if (event.hint !== 'network' || event.now - state.since < staleAfterMs) return [state]
      const why = new SluiceError('CONNECTION_LOST', 'The network changed; the attempt is begun anew.')
      return openAgain(event.now, state.attempt, { do: 'abandon', why }, plan)
    },
    reconnect: stay,
    close: (_, event) => close(event, { do: 'abandon', why: event.why }),
  },
  ready: {
    want: stay,
    rest: (_, event) => [idle(event.now), { do: 'abandon', why: event.why }],
    opened: stay,
    heard: state => [state.heard ? state : { ...state, heard: true }],
    lost: (state, event, plan) => fail(event.served ? 0 : failuresAfter(state, event.now), event, plan),
    due: stay,
    better: (_, { now, transport }) => [
      { at: 'ready', since: now, transport, attempt: 0, heard: true },
      { do: 'adopt' },
    ],
    hint: (state, event) => [state, { do: 'probe', hint: event.hint }],
    reconnect: (state, event, plan) => leave(failuresAfter(state, event.now), event, plan),
    close: (_, event) => close(event, { do: 'abandon', why: event.why }),
  },
  waiting: {
    want: stay,
    rest: (_, event) => [idle(event.now), { do: 'hush' }],
    opened: stay,
    heard: stay,
    lost: stay,
    due: (state, event, plan) => open(event.now, state.attempt, plan),
    better: stay,
    hint: (state, event, plan) => {
      if (event.now < state.notBefore) return [state]
      return openAgain(event.now, state.attempt, { do: 'hush' }, plan)
    },
    reconnect: stay,
    close: (_, event) => close(event, { do: 'hush' }),
  },
  closed: {
    want: stay,
    rest: stay,
    opened: stay,
    heard: stay,
    lost: stay,
    due: stay,
    better: stay,
    hint: stay,
    reconnect: stay,
    close: stay,
  },
}

function open(now: number, attempt: number, { transport }: Plan): Step {
  return [
    { at: 'opening', since: now, transport, attempt },
    { do: 'open', transport },
  ]
}

/** What there was, a transport or a timer, is let go of first. */
function openAgain(now: number, attempt: number, first: Effect, plan: Plan): Step {
  const [opening, ...effects] = open(now, attempt, plan)
  return [opening, first, ...effects]
}

function fail(attempt: number, event: EventOf<'lost'>, plan: Plan): Step {
  const { now, why } = event
  if (event.atOnce) return openAgain(now, attempt, { do: 'abandon', why }, plan)
  if (!event.retry) {
    return [
      { at: 'closed', since: now, why },
      { do: 'abandon', why },
      { do: 'dismiss', why },
    ]
  }
  const notBefore = now + (event.afterMs ?? 0)
  const until = Math.max(notBefore, now + plan.delayMs(attempt))
  return [
    { at: 'waiting', since: now, attempt, until, notBefore, why },
    { do: 'abandon', why },
    { do: 'wake', at: until },
  ]
}

/** The server goes away, or wants fewer clients: the delay spreads those who are asked at the same moment. */
function leave(attempt: number, event: EventOf<'reconnect'>, plan: Plan): Step {
  const { now, why } = event
  // Not from a server that sends away everybody who comes: that would be a storm.
  if (event.spread && attempt === 0) return openAgain(now, attempt, { do: 'retire', why }, plan)
  const until = now + plan.delayMs(attempt)
  return [
    { at: 'waiting', since: now, attempt, until, notBefore: until, why },
    { do: 'retire', why },
    { do: 'wake', at: until },
  ]
}

function failuresAfter(ready: StateAt<'ready'>, now: number): number {
  const healthy = ready.heard && now - ready.since >= healthyAfterMs
  return healthy ? 0 : ready.attempt + 1
}

function close({ now, why }: EventOf<'close'>, ...first: Effect[]): Step {
  return [{ at: 'closed', since: now, why }, ...first, { do: 'dismiss', why }]
}
