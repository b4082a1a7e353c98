/**
 * A transport over HTTP whose code is loaded when it is first needed: a page that has its WebSocket never asks for it.
 * Code that does not come (the network is down, a deploy has removed it) is a lost attempt like any other.
 */
import { SluiceError } from '../../shared/errors.ts'
import type { Timer } from '../../shared/clock.ts'
import type { RequestId } from '../../shared/protocol/messages.ts'
import type { Hint, TransportKind } from '../connection/machine.ts'
import type { ResolvedOptions } from '../options.ts'
import { toLoss, type AskedSubscription, type Transport, type TransportReports } from './transport.ts'

export type CreateTransport = (reports: TransportReports) => Transport

export class LazyTransport implements Transport {
  /** Queries and mutations are HTTP requests of their own. */
  readonly request = null
  readonly #reports: TransportReports
  readonly #loadTimer: Timer
  /** What is asked for until the code has come. */
  readonly #asked = new Map<RequestId, AskedSubscription>()
  #transport: Transport | null = null
  #over = false

  /** Begins to load at once. */
  constructor(
    readonly kind: TransportKind,
    load: () => Promise<CreateTransport>,
    { clock, connectTimeoutMs }: ResolvedOptions,
    reports: TransportReports,
  ) {
    this.#reports = reports
    const failed = `The code of the transport "${kind}" could not be loaded`
    this.#loadTimer = clock.after(connectTimeoutMs, () =>
      this.#lose(new SluiceError('CONNECTION_LOST', `${failed} within ${connectTimeoutMs} ms.`), failed),
    )
    load().then(
      create => this.#loaded(create),
      (thrown: unknown) => this.#lose(thrown, failed),
    )
  }

  subscribe(asked: AskedSubscription): void {
    if (this.#transport) this.#transport.subscribe(asked)
    else this.#asked.set(asked.id, asked)
  }

  unsubscribe(id: RequestId): void {
    if (this.#transport) this.#transport.unsubscribe(id)
    else this.#asked.delete(id)
  }

  probe(hint: Hint, withinMs: number): void {
    this.#transport?.probe(hint, withinMs)
  }

  close(): void {
    this.#over = true
    this.#loadTimer.cancel()
    this.#transport?.close()
  }

  #loaded(create: CreateTransport): void {
    if (this.#over) return
    this.#loadTimer.cancel()
    this.#transport = create(this.#reports)
    for (const asked of this.#asked.values()) this.#transport.subscribe(asked)
    this.#asked.clear()
  }

  #lose(thrown: unknown, what: string): void {
    if (this.#over) return
    this.close()
    this.#reports.lost(toLoss(thrown, what))
  }
}
