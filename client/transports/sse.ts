/**
 * Subscriptions over streamed HTTP responses, one for each, exactly as tRPC's own client asks for them. The transport
 * is open when one of them is connected, or when none is wanted; it is lost with the last of them. A stream that
 * breaks beside others that go on is merely interrupted.
 */
import type { RequestId } from '../../shared/protocol/messages.ts'
import { SluiceError } from '../../shared/errors.ts'
import type { Hint } from '../connection/machine.ts'
import type { ResolvedOptions } from '../options.ts'
import { SseStream } from './sse-stream.ts'
import type { AskedSubscription, Loss, Transport, TransportReports } from './transport.ts'

export class SseTransport implements Transport {
  readonly kind = 'sse'
  /** Queries and mutations are HTTP requests of their own. */
  readonly request = null
  readonly #options: ResolvedOptions
  readonly #reports: TransportReports

  readonly #streams = new Map<RequestId, SseStream>()
  #opened = false
  #heard = false
  #told = false
  #over = false

  constructor(options: ResolvedOptions, reports: TransportReports) {
    this.#options = options
    this.#reports = reports
    // After whoever made us has asked for what is wanted.
    queueMicrotask(() => this.#openIfQuiet())
  }

  subscribe(asked: AskedSubscription): void {
    if (this.#over) return
    const { id } = asked
    const stream = new SseStream(this.#options, asked, {
      connected: () => this.#open(),
      heard: () => this.#hear(),
      received: (message, size) => {
        if (!this.#over) this.#reports.received(message, size)
      },
      ended: last => {
        this.#forget(id)
        if (!this.#over) this.#reports.received(last)
      },
      lost: loss => this.#interrupted(id, loss),
    })
    this.#streams.set(id, stream)
  }

  unsubscribe(id: RequestId): void {
    this.#streams.get(id)?.close()
    this.#forget(id)
  }

  /** Nothing can be asked over a response. So a change of the network, which kills most, costs all of them. */
  probe(hint: Hint, withinMs: number): void {
    if (this.#over) return
    if (hint === 'visible') {
      for (const stream of this.#streams.values()) stream.check(withinMs)
    } else if (this.#streams.size > 0) {
      const why = new SluiceError('CONNECTION_LOST', 'The network changed; the streams are opened anew.')
      this.#lose({ why, retry: true, atOnce: true })
    }
  }

  close(): void {
    this.#over = true
    for (const stream of this.#streams.values()) stream.close()
    this.#streams.clear()
  }

  #hear(): void {
    this.#heard = true
    this.#tell()
  }

  #open(): void {
    if (this.#opened || this.#over) return
    this.#opened = true
    this.#reports.opened()
    this.#tell()
  }

  /** What was heard counts once the transport is open, and is told once. */
  #tell(): void {
    if (this.#told || !this.#heard || !this.#opened || this.#over) return
    this.#told = true
    this.#reports.heard()
  }

  #openIfQuiet(): void {
    if (this.#streams.size === 0) this.#open()
  }

  /** This stream is over, by our wish or by the server's last word. */
  #forget(id: RequestId): void {
    this.#streams.delete(id)
    this.#openIfQuiet()
  }

  #interrupted(id: RequestId, loss: Loss): void {
    if (this.#over) return
    this.#streams.delete(id)
    // What one of them cannot have here, no other can.
    if (this.#streams.size > 0 && !loss.unsupported) this.#reports.interrupted([id], loss)
    else this.#lose(loss)
  }

  #lose(loss: Loss): void {
    this.close()
    this.#reports.lost(loss)
  }
}
