/** One server and its readers, for one measurement. */
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { startChild, type Child } from './child.ts'
import type { Command, LoadCommand, LoadReport, Report } from './messages.ts'
import { options, output } from './options.ts'
import type { Ask, Carrier, PeerName } from './peer.ts'

export interface Readers {
  readonly connections?: number
  /** Of each connection. */
  readonly subscriptions?: number
  /** Whether they read; default true. */
  readonly reads?: boolean
}

export interface CycleOptions {
  readonly of: 'subscription' | 'connection'
  /** How many connections do so at once; default 1. */
  readonly lines?: number
  /** How many subscriptions come and go together on each; default 1. */
  readonly together?: number
}

export interface Weight {
  readonly heapBytes: number
  readonly rssBytes: number
}

export class Trial implements AsyncDisposable {
  readonly #server: Child<Command, Report>
  readonly #load: Child<LoadCommand, LoadReport>
  readonly #carrier: Carrier
  #port = 0
  #sent = 0

  private constructor(peer: PeerName, carrier: Carrier, deflated: boolean) {
    const profile = ['--cpu-prof', '--cpu-prof-dir', fileURLToPath(new URL(`profiles/${peer}`, output))]
    this.#server = startChild('./server.ts', {
      args: [peer, deflated ? 'deflated' : 'plain'],
      flags: options.cpuProf ? profile : [],
    })
    this.#load = startChild('./load.ts')
    this.#carrier = carrier
  }

  static async start(peer: PeerName, carrier: Carrier, { deflated = false } = {}): Promise<Trial> {
    const trial = new Trial(peer, carrier, deflated)
    const [{ port }] = await Promise.all([trial.#server.hear('ready'), trial.#load.hear('listening')])
    trial.#port = port
    return trial
  }

  async connect(ask: Ask, { connections = 1, subscriptions = 1, reads = true }: Readers = {}): Promise<void> {
    const opening = await this.#open(ask)
    await this.#load.ask(
      { do: 'connect', port: this.#port, opening, connections, subscriptions, reads },
      'connected',
    )
  }

  /** Appends events that nobody hears yet. Returns the cursor of the last. */
  async publish(events: number): Promise<string> {
    return (await this.#server.ask({ do: 'publish', events }, 'published')).cursor
  }

  /** Publishes to all at once. */
  tick(events: number): void {
    this.#server.tell({ do: 'tick', events })
  }

  /** One token for each model. */
  turn(): void {
    this.#server.tell({ do: 'turn' })
  }

  /** Does something, and waits until so many events have arrived. */
  async deliver(events: number, send: () => unknown): Promise<void> {
    this.#sent += events
    const arrived = this.#load.ask({ do: 'expect', events }, 'arrived')
    await Promise.all([arrived, send()])
  }

  /** Subscribes and unsubscribes, or connects and closes, so many times in all. */
  async cycle(ask: Ask, cycles: number, { of, lines = 1, together = 1 }: CycleOptions): Promise<void> {
    const opening = await this.#open(ask)
    const port = this.#port
    await this.#load.ask(
      { do: 'cycle', of, port, opening, cycles: cycles / lines, lines, together },
      'cycled',
    )
  }

  /** The server's CPU time (user and system) while something is done, in microseconds. */
  async cpuMicros(work: () => Promise<unknown>): Promise<number> {
    await this.#server.ask({ do: 'start' }, 'started')
    await work()
    return (await this.#server.ask({ do: 'stop' }, 'spent')).cpuMicros
  }

  /**
   * The server's CPU time per delivered event. The next step begins when the last one has arrived everywhere, so that
   * nobody is measured drowning.
   *
   * @param warm a step of the same kind, perhaps smaller, taken until the code is warm.
   * @param step delivers events, and says how many.
   */
  async cpuPerEvent(step: () => Promise<number>, warm = step): Promise<number> {
    await repeat(warm, options.seconds / 2)
    let events = 0
    const micros = await this.cpuMicros(async () => (events = await repeat(step, options.seconds)))
    await this.verify()
    return micros / events
  }

  /** The server's memory, after garbage collection. */
  weigh(): Promise<Weight> {
    return this.#server.ask({ do: 'weigh' }, 'weight')
  }

  /** Waits until no generator is asked for more, or all has been offered. */
  async offered(events: number): Promise<void> {
    const patience = 10
    for (let seen = -1, still = 0; seen < events && still < patience;) {
      const now = (await this.#server.ask({ do: 'count' }, 'offered')).events
      still = now === seen ? still + 1 : 0
      seen = now
      await setTimeout(50)
    }
  }

  /** @throws Error when another number of events has arrived than was sent: who drops is not quick. */
  async verify(): Promise<void> {
    const { events } = await this.#load.ask({ do: 'count' }, 'total')
    if (events !== this.#sent) throw new Error(`${events} events have arrived of ${this.#sent} sent.`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#load[Symbol.asyncDispose]()
    await this.#server[Symbol.asyncDispose]()
  }

  async #open(ask: Ask) {
    return (await this.#server.ask({ do: 'open', carrier: this.#carrier, ask }, 'opening')).opening
  }
}

async function repeat(step: () => Promise<number>, seconds: number): Promise<number> {
  let sum = 0
  const until = performance.now() + seconds * 1000
  do sum += await step()
  while (performance.now() < until)
  return sum
}
