/**
 * The owner of the connection: holds the transport and the one timer, and carries out what the machine decides. What
 * travels on it, subscriptions and requests, are its passengers; it tells them what happens, and knows no more of
 * them than whether they need it.
 */
import { SluiceError, toError } from '../../shared/errors.ts'
import type { Timer } from '../../shared/clock.ts'
import type { RequestId } from '../../shared/protocol/messages.ts'
import type { ResolvedOptions } from '../options.ts'
import type { Loss, Received, Transport, TransportReports } from '../transports/transport.ts'
import { Climber } from './climber.ts'
import {
  betterThan,
  chooseTransport,
  createLadder,
  transportBarred,
  transportFailed,
  transportWorked,
} from './ladder.ts'
import { idle, step } from './machine.ts'
import type { ConnectionEvent, ConnectionState, Effect, Reason, TransportKind } from './machine.ts'
import { listenForHints } from './network.ts'

/** What a passenger may ask of the connection. */
export interface Vehicle {
  /** Says that a passenger needs the connection. */
  want(): void
  /** Says that one may no longer do so. */
  mayRest(): void
  /** Asks for another connection: this server does not serve any more. */
  leave(why: SluiceError): void
  /** An id for a request, never used before on this link. */
  nextId(): RequestId
}

/** What travels on the connection. */
export interface Passenger {
  /** Whether it needs the connection now. */
  readonly wanted: boolean
  /** Whether it could go on over another transport from where it is. */
  readonly movable: boolean
  /** A transport is being opened: what is handed to it is sent when it opens. */
  board(transport: Transport): void
  opened(transport: Transport): void
  /** @param size what of the bytes received is an event's share. */
  received(message: Received, size: number): void
  interrupted(ids: readonly RequestId[], loss: Loss): void
  /** The transport is to be used no more, though answers may still come from it. */
  left(transport: Transport, why: Reason): void
  /** Nothing more will come from it. */
  lost(transport: Transport, why: Reason): void
  /** There will be no other. */
  dismissed(why: Reason): void
  /** Whether it still waits for an answer to something that it sent there. */
  awaitsAnswerOn(transport: Transport): boolean
}

export type TransportFactory = (kind: TransportKind, reports: TransportReports) => Transport

/** How long a transport that we have left may take to bring the answers that are due. */
const retireWithinMs = 10_000

/** How long the peer has to answer when there is reason to doubt it. */
const probeWithinMs = 2_000

export class Connection implements Vehicle {
  readonly #options: ResolvedOptions
  readonly #createTransport: TransportFactory
  readonly #passengers: Passenger[] = []

  // Written by #step, and by want() where a new life begins.
  #state: ConnectionState
  readonly #events: ConnectionEvent[] = []
  #stepping = false
  readonly #listeners = new Set<() => void>()

  // Resources, each opened and closed by the effect of its name.
  #transport: Transport | null = null
  readonly #retiring = new Map<Transport, Timer>()
  #timer: Timer | null = null
  #restTimer: Timer | null = null
  #leaveTimer: Timer | null = null
  #stopListening: (() => void) | null = null

  #ladder: ReturnType<typeof createLadder>
  readonly #climber: Climber
  /** The better transport that is about to be adopted. */
  #adoptee: Transport | null = null
  #lastId = 0
  #ended: SluiceError | null = null

  constructor(options: ResolvedOptions, createTransport: TransportFactory) {
    this.#options = options
    this.#createTransport = createTransport
    this.#ladder = createLadder(options.transports)
    this.#state = idle(options.clock.now())
    this.#climber = new Climber({
      clock: options.clock,
      afterMs: options.climbAfterMs,
      create: createTransport,
      isMovable: () => this.#passengers.every(passenger => passenger.movable),
      reached: (kind, transport, takeOver) => {
        takeOver(this.#reportsOf(kind, () => transport, { heard: true }))
        this.#ladder = transportWorked(this.#ladder, kind)
        this.#adoptee = transport
        this.#dispatch({ type: 'better', now: this.#now(), transport: kind })
      },
    })
  }

  carry(passenger: Passenger): void {
    this.#passengers.push(passenger)
  }

  /** Why the application closed it, if it did. */
  get ended(): SluiceError | null {
    return this.#ended
  }

  get(): ConnectionState {
    return this.#state
  }

  /** Calls `listener` after each change of state; returns its removal. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** The application has reason to think that things have changed: its phone woke up, say. */
  wake(): void {
    this.#dispatch({ type: 'hint', now: this.#now(), hint: 'network' })
  }

  want(): void {
    this.#restTimer?.cancel()
    this.#restTimer = null
    if (this.#ended) return
    // A server that sent us away is asked once more for each new wish: the user may have logged in meanwhile.
    if (this.#state.at === 'closed') this.#state = idle(this.#now())
    this.#dispatch({ type: 'want', now: this.#now() })
  }

  mayRest(): void {
    const { clock, closeWhenIdleMs } = this.#options
    if (this.#restTimer || this.#state.at === 'idle' || this.#state.at === 'closed' || this.#wanted()) return
    const rest = () => {
      this.#restTimer = null
      if (this.#wanted()) return
      const why = new SluiceError('LINK_CLOSED', 'Nothing needed the connection any more.')
      this.#dispatch({ type: 'rest', now: this.#now(), why })
    }
    // A timer is all that there is to give up; a connection may be needed again in a moment.
    if (this.#state.at === 'waiting') rest()
    else this.#restTimer = clock.after(closeWhenIdleMs, rest)
  }

  leave(why: SluiceError): void {
    this.#dispatch({ type: 'reconnect', now: this.#now(), why })
  }

  nextId(): RequestId {
    this.#lastId += 1
    return this.#lastId
  }

  /** For good. */
  close(): void {
    this.#ended ??= new SluiceError('LINK_CLOSED', 'The link was closed.')
    this.#restTimer?.cancel()
    this.#restTimer = null
    this.#dispatch({ type: 'close', now: this.#now(), why: this.#ended })
    for (const transport of this.#retiring.keys()) this.#dropRetiring(transport, this.#ended)
  }

  /** Events that come up while one is dealt with wait for their turn. */
  #dispatch(event: ConnectionEvent): void {
    this.#events.push(event)
    if (this.#stepping) return
    this.#stepping = true
    try {
      for (let next = this.#events.shift(); next; next = this.#events.shift()) this.#step(next)
    } finally {
      this.#stepping = false
    }
  }

  #step(event: ConnectionEvent): void {
    const before = this.#state
    const [state, ...effects] = step(before, event, {
      transport: chooseTransport(this.#ladder),
      delayMs: this.#options.retryDelayMs,
    })
    this.#state = state
    for (const effect of effects) this.#carryOut(effect)
    if (state === before) return
    this.#listenWhileActive()
    this.#climbWhileServed()
    if (state.at === 'waiting') this.mayRest()
    for (const listener of this.#listeners) this.#tell(listener)
  }

  #tell(listener: () => void): void {
    try {
      listener()
    } catch (thrown) {
      this.#options.onError(toError(thrown)) // the application's own
    }
  }

  #carryOut(effect: Effect): void {
    switch (effect.do) {
      case 'open':
        return this.#open(effect.transport)
      case 'abandon':
        return this.#abandon(effect.why)
      case 'retire':
        return this.#retire(effect.why)
      case 'adopt':
        return this.#adopt()
      case 'wake':
        this.#timer = this.#options.clock.after(
          effect.at - this.#now(),
          () => this.#dispatch({ type: 'due', now: this.#now() }),
          { keepAlive: true }, // somebody waits for what comes after it
        )
        return
      case 'hush':
        this.#timer?.cancel()
        return
      case 'probe':
        return this.#transport?.probe(effect.hint, probeWithinMs)
      case 'dismiss':
        for (const passenger of this.#passengers) passenger.dismissed(effect.why)
        return
      default:
        return effect satisfies never
    }
  }

  #open(kind: TransportKind): void {
    const transport: Transport = this.#createTransport(
      kind,
      this.#reportsOf(kind, () => transport),
    )
    this.#board(transport)
  }

  #board(transport: Transport): void {
    this.#transport = transport
    for (const passenger of this.#passengers) passenger.board(transport)
  }

  /** @param self the transport itself, which is not there yet when its reports are made. */
  #reportsOf(kind: TransportKind, self: () => Transport, { heard } = { heard: false }): TransportReports {
    // A replaced transport may still call back: what it says counts only as long as it is the one.
    const isCurrent = () => this.#transport === self()
    return {
      opened: () => {
        if (!isCurrent()) return
        this.#dispatch({ type: 'opened', now: this.#now(), transport: self().kind })
        this.#tellOpened(self())
      },
      heard: () => {
        heard = true
        const via = self().kind
        if (via !== 'tab') this.#ladder = transportWorked(this.#ladder, via)
        if (isCurrent()) this.#dispatch({ type: 'heard', now: this.#now() })
      },
      received: (message, size = 0) => this.#received(self(), message, size),
      interrupted: (ids, loss) => {
        if (isCurrent()) for (const passenger of this.#passengers) passenger.interrupted(ids, loss)
      },
      lost: loss => {
        const others = loss.unsupported ? transportBarred(this.#ladder, kind) : null
        if (others) this.#ladder = others
        else if (!heard && self().kind !== 'tab') this.#ladder = transportFailed(this.#ladder)
        const known = { ...loss, retry: loss.retry || others !== null }
        if (others) known.atOnce = true
        if (isCurrent()) this.#dispatch({ type: 'lost', now: this.#now(), ...known })
        else this.#dropRetiring(self(), loss.why)
      },
    }
  }

  #tellOpened(transport: Transport): void {
    for (const passenger of this.#passengers) if (this.#transport === transport) passenger.opened(transport)
  }

  #received(transport: Transport, message: Received, size: number): void {
    if (this.#transport !== transport && !this.#retiring.has(transport)) return
    if (message.type === 'complaint') return this.#options.onError(message.error)
    if (message.type === 'reconnect') {
      if (this.#transport === transport) this.#leaveWithin(message.withinMs)
      return
    }
    for (const passenger of this.#passengers) passenger.received(message, size)
    if (this.#retiring.has(transport)) this.#dropIfAnswered(transport)
  }

  /** Where the server names a time, it serves until then, and those whom it has asked leave one after another. */
  #leaveWithin(withinMs: number | undefined): void {
    const why = new SluiceError('DRAINING', 'The server asked this client to connect anew.')
    if (withinMs === undefined) return this.leave(why)
    const { clock } = this.#options
    this.#leaveTimer ??= clock.after(withinMs * clock.random(), () =>
      this.#dispatch({ type: 'reconnect', now: this.#now(), why, spread: true }),
    )
  }

  #abandon(why: Reason): void {
    const transport = this.#leave(why)
    if (!transport) return
    transport.close()
    for (const passenger of this.#passengers) passenger.lost(transport, why)
  }

  #retire(why: Reason): void {
    const transport = this.#leave(why)
    if (!transport) return
    const timer = this.#options.clock.after(retireWithinMs, () => this.#dropRetiring(transport, why))
    this.#retiring.set(transport, timer)
    this.#dropIfAnswered(transport)
  }

  #adopt(): void {
    const better = this.#adoptee
    this.#adoptee = null
    if (!better) return
    this.#retire(new SluiceError('CONNECTION_LOST', 'A better transport works again, and takes over.'))
    this.#board(better)
    this.#tellOpened(better)
  }

  #leave(why: Reason): Transport | null {
    const transport = this.#transport
    this.#transport = null
    this.#leaveTimer?.cancel()
    this.#leaveTimer = null
    if (transport) for (const passenger of this.#passengers) passenger.left(transport, why)
    return transport
  }

  #dropIfAnswered(transport: Transport): void {
    if (this.#passengers.some(passenger => passenger.awaitsAnswerOn(transport))) return
    this.#dropRetiring(transport, new SluiceError('CONNECTION_LOST', 'The connection was replaced.'))
  }

  #dropRetiring(transport: Transport, why: Reason): void {
    const timer = this.#retiring.get(transport)
    if (!timer) return
    timer.cancel()
    this.#retiring.delete(transport)
    transport.close()
    for (const passenger of this.#passengers) passenger.lost(transport, why)
  }

  #wanted(): boolean {
    return this.#passengers.some(passenger => passenger.wanted)
  }

  /** Hints are of use only while there is a connection to look after: an idle link leaves nothing behind. */
  #listenWhileActive(): void {
    const active = this.#state.at !== 'idle' && this.#state.at !== 'closed'
    if (active && !this.#stopListening) {
      this.#stopListening = listenForHints(hint => this.#dispatch({ type: 'hint', now: this.#now(), hint }))
    } else if (!active) {
      this.#stopListening?.()
      this.#stopListening = null
    }
  }

  #climbWhileServed(): void {
    const { at } = this.#state
    if (at === 'ready') this.#climber.watch(betterThan(this.#ladder, this.#state.transport))
    else this.#climber.stop()
  }

  #now(): number {
    return this.#options.clock.now()
  }
}
