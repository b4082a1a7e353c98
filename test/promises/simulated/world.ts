/** The server from the outlet down, with everything real but the network and the time. */
import { initTRPC } from '@trpc/server'
import { createTopic, memoryStore } from 'trpc-sluice/server'
import { createFakeClock } from 'trpc-sluice/testing'
import { expect } from 'vitest'
import { z } from 'zod'
import { CallObservers } from '../../../server/observe/calls.ts'
import { createCounters } from '../../../server/observe/counters.ts'
import { Encodings } from '../../../server/procedures/encodings.ts'
import { ErrorDesk } from '../../../server/procedures/present-error.ts'
import { Grace } from '../../../server/grace.ts'
import { RetryContracts } from '../../../server/procedures/rerun.ts'
import { Answers, MessageWriter } from '../../../server/session/answers.ts'
import { Outlet } from '../../../server/session/outlet.ts'
import { Subscriptions } from '../../../server/session/subscriptions.ts'
import type { Retention, Store } from '../../../server/stores/store.ts'
import type { GapPolicy } from '../../../server/topics/reader.ts'
import type { WhenSlow } from '../../../server/topics/when-slow.ts'
import type { Clock } from '../../../shared/clock.ts'
import { LogModel } from './log-model.ts'
import { must } from './must.ts'
import { RoomWatch, Watched } from './watched.ts'
import { SimulatedWire } from './wire.ts'
import { Witness, type Heard, type Numbered } from './witness.ts'

export interface WorldOptions {
  readonly ringSize: number
  readonly ringBytes: number
  readonly retain: Retention
  readonly onGap: GapPolicy
  readonly highWaterBytes: number
  /** Whether the wires take several messages as one piece. */
  readonly joins: boolean
  readonly people: readonly Person[]
}

export interface Person {
  readonly wire: number
  /** Each node has a topic of its own, over one store. */
  readonly node: number
  readonly key: string
  readonly from: 'start' | 'end'
  readonly whenSlow: WhenSlow<Numbered>
  /** Whether the server leaves out every fifth event for it. */
  readonly filtered: boolean
  /** Whether the procedure returns the topic's iterable as it is, and is pushed to. */
  readonly pushed: boolean
  /** What its handler does upon every seventh event. */
  readonly upon: 'nothing' | 'leave' | 'send another away' | 'leave in the filter'
}

const t = initTRPC.create()
const router = t.router({})
const isFifth = (n: number) => n % 5 === 0
const isSeventh = (n: number) => n % 7 === 0

/** Any event is shorter as a message, and a batch has at most 64 of them. */
const maxBatchBytes = 64 * 200

/** Until all that was published has arrived, one event a turn. */
const maxTurns = 5_000

type NumbersTopic = ReturnType<typeof createNumbers>

function createNumbers(store: Store, clock: Clock, { ringSize, ringBytes, retain, onGap }: WorldOptions) {
  const fold = {
    initial: { count: 0, last: 0 },
    step: ({ count }: { count: number }, { n }: Numbered) => ({ count: count + 1, last: n }),
  }
  return createTopic({
    name: 'numbers',
    event: z.object({ n: z.number() }),
    store,
    ringSize,
    ringBytes,
    retain,
    onGap,
    checkpointEvery: 4,
    lingerMs: 100,
    clock,
    onError: error => {
      throw error
    },
    ...(onGap === 'snapshot' && { fold }),
  })
}

class Connection {
  readonly wire: SimulatedWire
  readonly subscriptions: Subscriptions
  readonly room: RoomWatch
  readonly #outlet: Outlet
  readonly #writer: MessageWriter

  constructor(world: World, hear: (message: Heard) => void) {
    const { options, deps } = world
    this.wire = new SimulatedWire(options.joins, text => hear(JSON.parse(text) as Heard))
    this.#outlet = new Outlet(this.wire, options.highWaterBytes, deps.counters)
    this.#writer = new MessageWriter(this.#outlet, () => deps.encodings.json, deps.encodings, deps.desk, {
      nowhere: () => world.origin,
    })
    this.room = new RoomWatch(this.#outlet, world.time)
    this.subscriptions = new Subscriptions(deps, 100)
  }

  answers(id: number, log: LogModel): Watched {
    return new Watched(new Answers(this.#writer, { id }), this.room, () => log.asOfNow())
  }

  cut(): Promise<void> {
    this.wire.cut()
    this.#outlet.close()
    return this.subscriptions.close()
  }
}

export class World {
  readonly clock = createFakeClock()
  readonly options: WorldOptions
  readonly deps
  readonly origin = { req: null, type: 'subscription', path: 'n', input: null, ctx: null } as const
  readonly witnesses: readonly Witness[]
  /** What time it is, by the turns of the event loop and by the clock. */
  readonly time
  readonly #store = memoryStore({ clock: this.clock })
  readonly #nodes: readonly NumbersTopic[]
  readonly #logs = new Map<string, LogModel>()
  readonly #connections: Connection[]
  /** By the id of a subscription, which is used once: who is meant, and what it was handed. */
  readonly #who = new Map<number, number>()
  readonly #watched: Watched[] = []
  readonly #ids: number[] = []
  /** Whether somebody has left, or was cut off, who may have taken what was never handed over. */
  #someoneLeft = false
  #turn = 0
  readonly #ending: Promise<void>[] = []
  #n = 0

  constructor(options: WorldOptions) {
    this.options = options
    const { onGap, people } = options
    const turn = () => this.#turn
    const now = () => this.clock.now()
    this.time = {
      get turn() {
        return turn()
      },
      get now() {
        return now()
      },
    }
    const desk = new ErrorDesk(router, ({ error }) => {
      if (error.cause === undefined || !('code' in error.cause)) throw error
    })
    const counters = createCounters()
    const encodings = new Encodings(router, counters)
    const contracts = new RetryContracts(router)
    this.deps = {
      desk,
      clock: this.clock,
      counters,
      observers: new CallObservers(),
      encodings,
      contracts,
      authority: null,
      grace: new Grace(1_000, this.clock),
    }
    const createNode = () => createNumbers(this.#store, this.clock, options)
    this.#nodes = [createNode(), createNode()]
    this.witnesses = people.map(({ whenSlow, filtered, key, pushed }) => {
      const isVisible = (n: number) => !filtered || !isFifth(n)
      return new Witness({ whenSlow, onGap, isVisible, pushed }, this.#log(key))
    })
    this.#connections = [0, 1].map(() => this.#connect())
  }

  /** Together, so that they come as one batch. */
  async publish(key: string, count: number, node = 0): Promise<void> {
    const numbers = Array.from({ length: count }, () => ++this.#n)
    this.#log(key).publishes(count)
    const published = await Promise.all(numbers.map(n => this.#node(node).publish(key, { n })))
    for (const [i, { id }] of published.entries()) this.#log(key).published(id, numbers[i] as number)
  }

  async wipe(key: string): Promise<void> {
    const removed = this.#store.remove(`numbers/${key}`)
    this.#log(key).wiped() // which it is at once, though it is said later
    await removed
  }

  /** Someone who is away asks, with the cursor that it has. */
  ask(who: number): void {
    const [person, witness] = this.#person(who)
    if (witness.at !== 'away') return
    const id = this.#who.size
    this.#who.set(id, who)
    this.#ids[who] = id
    witness.asks(person.from)
    const connection = this.#connections[person.wire] as Connection
    const after = witness.cursor
    const watched = connection.answers(id, this.#log(person.key))
    this.#watched[id] = watched
    connection.subscriptions.start(
      id,
      {
        path: 'n',
        tellPosition: true,
        tellLag: false,
        abortErrorEnds: false,
        origin: () => this.origin,
        invoke: async signal => {
          const { from, whenSlow } = person
          const filter = this.#filterOf(who)
          const stream = this.#node(person.node).subscribe(person.key, {
            after,
            from,
            whenSlow,
            signal,
            ...filter,
          })
          if (person.pushed) return stream
          return (async function* () {
            yield* stream
          })()
        },
      },
      watched,
    )
  }

  leave(who: number): void {
    const id = this.#ids[who]
    this.#someoneLeft = true
    if (id !== undefined) this.#connections[this.#person(who)[0].wire]?.subscriptions.stop(id)
  }

  wire(index: number): SimulatedWire {
    return (this.#connections[index] as Connection).wire
  }

  /** The connection is lost, and another one there at once. */
  cut(index: number): void {
    this.#someoneLeft = true
    this.#ending.push((this.#connections[index] as Connection).cut())
    this.#check(this.wire(index))
    this.#connections[index] = this.#connect()
    for (const [who, witness] of this.witnesses.entries()) {
      if (this.#person(who)[0].wire === index) witness.at = 'away'
    }
  }

  /** One turn of the event loop, and then the network's. */
  async turn(): Promise<void> {
    await new Promise(resolve => setImmediate(resolve))
    this.#nextTurn()
    for (const { wire } of this.#connections) if (!wire.stalled) wire.drain()
    this.#look()
  }

  /** Lets so many bytes arrive. */
  trickle(index: number, bytes: number): void {
    this.wire(index).drain(bytes)
    this.#look()
  }

  /** Lets time go by. Who may take nothing only for so long has its end by then. */
  async wait(ms: number): Promise<void> {
    await this.clock.advance(ms)
    this.#nextTurn()
    for (const [who, { whenSlow }] of this.options.people.entries()) {
      const watched = this.#watched[this.#ids[who] ?? NaN]
      if (!watched || watched.over || whenSlow === 'wait' || whenSlow.policy !== 'disconnect') continue
      const isStill = watched.hasWaited(whenSlow.afterMs, this.clock.now())
      must(!isStill, () => `${who} has waited for ${whenSlow.afterMs} ms in vain, and goes on`)
    }
  }

  /** Everything flows again; settles when nobody is due anything. */
  async settle(): Promise<void> {
    for (const { wire } of this.#connections) wire.stalled = false
    for (const key of this.#logs.keys()) await this.publish(key, 1)
    for (let turns = 1; turns < maxTurns; turns++) {
      await this.turn()
      // Looking costs more than a turn.
      if (turns % 8 === 0 && this.witnesses.every(({ isContent }) => isContent)) break
    }
    for (const witness of this.witnesses) expect(witness.isContent, `is content: ${witness}`).toBe(true)
  }

  /** What the server has counted is what everybody was told, and what nobody was given; and nothing came too late. */
  checkCounts(): void {
    const sum = (numbers: readonly number[]) => numbers.reduce((total, one) => total + one, 0)
    const { disconnected, tally } = this.deps.counters
    const { conflate, dropOldest } = tally.dropped
    expect(sum(this.#watched.map(({ tooLate }) => tooLate))).toBe(0)
    expect(disconnected).toBe(sum(this.#watched.map(({ stalled }) => stalled)))
    const dropped = sum(this.#watched.map(watched => watched.dropped))
    const conflated = this.witnesses.map(witness => witness.conflated)
    // Who leaves may do so between what a generator takes for it and what that would have handed over.
    if (this.#someoneLeft) return expect(dropOldest).toBeGreaterThanOrEqual(dropped)
    expect(dropOldest).toBe(dropped)
    if (!conflated.includes(null)) expect(conflate).toBe(sum(conflated.map(Number)))
  }

  /** Everybody leaves, and nothing is left behind. */
  async end(): Promise<void> {
    for (const connection of this.#connections) {
      this.#ending.push(connection.subscriptions.close())
      this.#check(connection.wire)
    }
    await Promise.all(this.#ending)
    await this.turn() // what a subscription was in the middle of, comes to its end
    const { subscriptions, overstayed } = this.deps.counters
    const feeding = this.#connections.flatMap(connection => [...connection.subscriptions.feeding()])
    expect({ subscriptions, overstayed, feeding }).toEqual({ subscriptions: 0, overstayed: 0, feeding: [] })
    await this.clock.advance(1_000) // the grace of those that have ended is over then, too
    await this.#store.close()
    expect(this.clock.pending).toBe(0)
  }

  #nextTurn(): void {
    this.#look()
    this.#turn++
  }

  #look(): void {
    for (const { room } of this.#connections) room.look()
    for (const id of this.#ids) this.#watched[id]?.look()
  }

  #connect(): Connection {
    const connection: Connection = new Connection(this, message => {
      const who = this.#who.get(message.id) as number
      // What comes for an id that is no longer meant would reach nobody.
      expect(this.#ids[who]).toBe(message.id)
      const moment = (this.#watched[message.id] as Watched).arrives()
      const n = (this.witnesses[who] as Witness).hear(message, moment)
      if (n !== undefined && isSeventh(n)) this.#act(who)
    })
    return connection
  }

  #act(who: number): void {
    const { upon } = this.#person(who)[0]
    if (upon === 'leave') this.leave(who)
    if (upon === 'send another away') this.leave((who + 1) % this.witnesses.length)
  }

  #filterOf(who: number) {
    const { filtered, upon } = this.#person(who)[0]
    if (!filtered && upon !== 'leave in the filter') return {}
    return {
      filter: ({ n }: Numbered) => {
        // An application's own code, in the middle of the hub's loop.
        if (upon === 'leave in the filter' && isSeventh(n)) this.leave((who + 1) % this.witnesses.length)
        return !filtered || !isFifth(n)
      },
    }
  }

  #check({ peak }: SimulatedWire): void {
    const { highWaterBytes, people } = this.options
    expect(peak).toBeLessThanOrEqual(highWaterBytes + people.length * maxBatchBytes)
  }

  #node(index: number): NumbersTopic {
    return this.#nodes[index] as NumbersTopic
  }

  #person(who: number): [Person, Witness] {
    return [this.options.people[who] as Person, this.witnesses[who] as Witness]
  }

  #log(key: string): LogModel {
    let log = this.#logs.get(key)
    if (!log) this.#logs.set(key, (log = new LogModel(this.options.retain, this.time)))
    return log
  }
}
