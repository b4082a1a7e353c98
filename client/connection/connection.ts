/**
 * The owner of the connection: holds the transport and the one timer, and carries out what the machine decides. What
 * travels on it, subscriptions and requests, are its passengers; it tells them what happens, and knows no more of
 * them than whether they need it.
 */
import { SluiceError, toError } from '../../shared/errors.ts'
import type { Timer } from '../../shared/clock.ts'
import type { RequestId } from '../../shared/protocol/messages.ts'
import type { ResolvedOptions } from '../options.ts'
import type {
  Answer,
  Loss,
  Received,
  Transport,
  TransportFactory,
  TransportReports,
} from '../transports/transport.ts'
import { createLadder } from './ladder.ts'
import { idle, step } from './machine.ts'
import type { ConnectionEvent, ConnectionState, Hint, Reason, TransportKind } from './machine.ts'
import { listenForHints } from './network.ts'

/** What is to be seen of the connection, as a store that React's `useSyncExternalStore` takes. */
export interface ConnectionView {
  /** The same object until the state changes. */
  get(): ConnectionState
  /** Calls `listener` after each change; returns its removal. */
  subscribe(listener: () => void): () => void
  /**
   * Says that things may have changed (a phone woke up, a VPN came up): a waiting link tries again at once, an open
   * one makes sure within 2 s that its server still answers. Browsers' own events are heeded without it.
   */
  wake(): void
}

/** What a passenger may ask of the connection. */
export interface Vehicle {
  /** Says that a passenger needs the connection. */
  want(): void
  /** Says that one may no longer do so. */
  mayRest(): void
  /** Asks for another connection: this server does not serve any more. */
  leave(why: SluiceError): void
  /** An id for a request, never used before on this link; what is answered to it goes to `receive`. */
  nextId(receive: Receive): RequestId
  /** What may still be answered to it finds nobody. */
  forget(id: RequestId): void
}

type Receive = (answer: Answer) => void

/** What travels on the connection, or merely needs it. */
export interface Passenger {
  /** Whether it needs the connection now. */
  readonly wanted: boolean
  /** A transport is being opened: what is handed to it is sent when it opens. */
  board?(transport: Transport): void
  opened?(transport: Transport): void
  interrupted?(ids: readonly RequestId[], loss: Loss): void
  /** The transport is to be used no more, though answers may still come from it. */
  left?(transport: Transport, why: Reason): void
  /** Nothing more will come from it. */
  lost?(transport: Transport, why?: Reason): void
  /** There will be no other. */
  closed?(why: Reason): void
  /** Whether it still waits for an answer to something that it sent there. */
  awaits?(transport: Transport): boolean
}

export interface Connection extends Vehicle, ConnectionView {
  /** Why the application closed it, if it did. */
  readonly ended: SluiceError | null
  carry(...passengers: readonly Passenger[]): void
  /** For good, and says why. */
  close(): SluiceError
}

/** How long a transport that we have left may take to bring the answers that are due. */
const retireWithinMs = 10_000

/** How long the peer has to answer when there is reason to doubt it. */
const probeWithinMs = 2_000

export function createConnection(options: ResolvedOptions, createTransport: TransportFactory): Connection {
  const { clock, closeWhenIdleMs, onError, retryDelayMs } = options
  const passengers: Passenger[] = []
  const listeners = new Set<() => void>()
  const receivers = new Map<RequestId, Receive>()
  let lastId = 0
  let ended: SluiceError | null = null

  // Written by take(), and by want() where a new life begins.
  let state = idle(clock.now())
  const events: ConnectionEvent[] = []

  let transport: Transport | null = null
  /** Those that may still bring an answer, each with the time that it has for that. */
  const retiring = new Map<Transport, Timer>()
  let timer: Timer | null = null
  let restTimer: Timer | null = null
  let leaveTimer: Timer | null = null
  let stopListening: (() => void) | null = null

  const ladder = createLadder(options.transports)

  /** Events that come up while one is dealt with wait for their turn. */
  const dispatch = (event: ConnectionEvent) => {
    if (events.push(event) > 1) return
    try {
      for (const next of events) take(next)
    } finally {
      events.length = 0
    }
  }

  const take = (event: ConnectionEvent) => {
    const before = state
    const plan = { now: clock.now(), transport: ladder.choose, delayMs: retryDelayMs }
    const [after, move] = step(before, event, plan)
    state = after
    if (move === 'probe' && 'hint' in event) transport?.probe(event.hint, probeWithinMs)
    else if (move && 'why' in event) letGo(event.why, move !== 'abandon')
    if (after === before) return
    if (before.at === 'waiting') timer?.cancel()
    if (after.at === 'opening') open(after.transport)
    if (after.at === 'waiting') {
      // Somebody waits for what comes after it.
      timer = clock.after(after.until - clock.now(), () => dispatch({ type: 'due' }), { keepAlive: true })
      mayRest()
    }
    if (after.at === 'closed') for (const passenger of passengers) passenger.closed?.(after.why)
    // Hints are of use only while there is a connection to look after: an idle link leaves nothing behind.
    if (isActive()) stopListening ??= listenForHints(hinted)
    else {
      stopListening?.()
      stopListening = null
    }
    for (const listener of listeners) {
      try {
        listener()
      } catch (thrown) {
        onError(toError(thrown)) // the application's own
      }
    }
  }

  const hinted = (hint: Hint) => {
    const why = new SluiceError('CONNECTION_LOST', 'The network changed.')
    dispatch({ type: 'hint', hint, why })
  }

  const open = (kind: TransportKind) => {
    const opening: Transport = createTransport(
      kind,
      reportsOf(() => opening),
    )
    board(opening)
  }

  const board = (boarded: Transport) => {
    transport = boarded
    for (const passenger of passengers) passenger.board?.(boarded)
  }

  const tellOpened = (opened: Transport) => {
    for (const passenger of passengers) if (transport === opened) passenger.opened?.(opened)
  }

  /** The transport is used no more. @param awaited whether it stays for the answers that are due. */
  const letGo = (why: Reason, awaited: boolean) => {
    const left = transport
    if (!left) return
    transport = null
    leaveTimer?.cancel()
    leaveTimer = null
    for (const passenger of passengers) passenger.left?.(left, why)
    const end = () => drop(left, why)
    if (awaited && isAwaited(left)) retiring.set(left, clock.after(retireWithinMs, end))
    else end()
  }

  /** Nothing more is heard of it. @param why left out where nobody waits for anything. */
  const drop = (left: Transport, why?: Reason) => {
    retiring.get(left)?.cancel()
    retiring.delete(left)
    left.close()
    for (const passenger of passengers) passenger.lost?.(left, why)
  }

  const isAwaited = (left: Transport) => passengers.some(passenger => passenger.awaits?.(left))

  /** @param self the transport itself, which is not there yet when its reports are made. */
  const reportsOf = (self: () => Transport): TransportReports => {
    // A replaced transport may still call back: what it says counts only as long as it is the one.
    const isCurrent = () => transport === self()
    return {
      opened() {
        if (!isCurrent()) return
        dispatch({ type: 'opened', transport: self().kind })
        tellOpened(self())
      },
      heard() {
        if (!isCurrent()) return
        ladder.worked(self().kind)
        dispatch({ type: 'heard' })
      },
      received: message => received(self(), message),
      interrupted(ids, loss) {
        if (isCurrent()) for (const passenger of passengers) passenger.interrupted?.(ids, loss)
      },
      lost(loss) {
        if (retiring.has(self())) drop(self(), loss.why)
        if (!isCurrent()) return
        const others = ladder.lost(self().kind, state.at === 'ready' && state.heard, loss)
        dispatch({ type: 'lost', ...loss, ...(others && { atOnce: true }) })
      },
      replaced(by, why, takeOver) {
        takeOver(reportsOf(() => by))
        ladder.worked(by.kind)
        dispatch({ type: 'better', transport: by.kind, why })
        if (state.at !== 'ready') return by.close() // somebody who was told of it has ended all
        board(by)
        tellOpened(by)
      },
    }
  }

  const received = (from: Transport, message: Received) => {
    const retired = retiring.has(from)
    if (from !== transport && !retired) return
    if (message.type === 'complaint') return onError(message.error)
    if ('id' in message) receivers.get(message.id)?.(message)
    else if (message.type === 'reconnect' && !retired) leaveWithin(message.withinMs)
    if (retired && !isAwaited(from)) drop(from)
  }

  const leaveWithin = (withinMs: number | undefined) => {
    const why = new SluiceError('DRAINING', 'The server asked to connect anew.')
    if (withinMs === undefined) return dispatch({ type: 'reconnect', why })
    // It serves until then, and those whom it has asked leave one after another.
    leaveTimer ??= clock.after(withinMs * clock.random(), () =>
      dispatch({ type: 'reconnect', why, spread: true }),
    )
  }

  const isActive = () => state.at !== 'idle' && state.at !== 'closed'

  const isWanted = () => passengers.some(passenger => passenger.wanted)

  const mayRest = () => {
    if (restTimer || !isActive() || isWanted()) return
    const rest = () => {
      restTimer = null
      if (isWanted()) return
      dispatch({
        type: 'rest',
        why: new SluiceError('LINK_CLOSED', 'The link was idle.'),
      })
    }
    // A timer is all that there is to give up; a connection may be needed again in a moment.
    if (state.at === 'waiting') rest()
    else restTimer = clock.after(closeWhenIdleMs, rest)
  }

  const stayUp = () => {
    restTimer?.cancel()
    restTimer = null
  }

  return {
    get ended() {
      return ended
    },
    carry(...boarding) {
      passengers.push(...boarding)
    },
    get: () => state,
    subscribe(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    wake: () => hinted('network'),
    want() {
      stayUp()
      if (ended) return
      // A server that sent us away is asked once more for each new wish: the user may have logged in meanwhile.
      if (state.at === 'closed') state = idle(clock.now())
      dispatch({ type: 'want' })
    },
    mayRest,
    leave: why => dispatch({ type: 'reconnect', why }),
    nextId(receive) {
      receivers.set((lastId += 1), receive)
      return lastId
    },
    forget: id => receivers.delete(id),
    close() {
      ended ??= new SluiceError('LINK_CLOSED', 'The link was closed.')
      stayUp()
      dispatch({ type: 'close', why: ended })
      for (const left of retiring.keys()) drop(left, ended)
      return ended
    },
  }
}
