/**
 * How an outbox sends: one mutation at a time, under its idempotency key. When one was not answered it rests for a
 * while, longer each time, and then the same one is the first again. What comes late, of one that was withdrawn, is
 * not listened to.
 */
import type { Operation } from '@trpc/client'
import type { Timer } from '../../shared/clock.ts'
import type { SendRequest } from '../http.ts'
import type { ResultObserver } from '../subscriptions/subscription.ts'
import type { ClientError } from '../transports/transport.ts'
import type { Item } from './item.ts'
import type { OutboxRoute } from './tenure.ts'
import { verdictOn } from './verdict.ts'

/** What becomes of the mutation that is sent. */
export interface SendingOptions {
  readonly mark: (item: Item, status: Item['status'], error?: ClientError) => void
  readonly settle: (item: Item, tell: (observer: ResultObserver) => void) => void
  /** The next one may be sent. */
  readonly onFree: () => void
}

interface Current {
  readonly item: Item
  /** Null until it has been handed over. */
  withdraw: ReturnType<SendRequest> | null
}

export class Sending {
  readonly #options: SendingOptions
  #current: Current | null = null
  #failures = 0
  #retryTimer: Timer | null = null

  constructor(options: SendingOptions) {
    this.#options = options
  }

  /** Sends, or rests. */
  get busy(): boolean {
    return this.#current !== null || this.#retryTimer !== null
  }

  /** Only while it is not busy. */
  start(item: Item, { send, options }: OutboxRoute): void {
    const { id, path, input, number } = item.stored
    const current: Current = { item, withdraw: null }
    this.#current = current
    const isCurrent = () => this.#current === current
    this.#options.mark(item, 'sending')
    if (!isCurrent()) return // taken back by somebody who heard of it
    const context = { idempotencyKey: id }
    const operation: Operation = { id: number, type: 'mutation', path, input, context, signal: null }
    item.sent = true
    const withdraw = send(operation, {
      next: result => {
        if (!isCurrent()) return
        this.#answered(item, observer => {
          observer.next(result)
          observer.complete()
        })
      },
      error: error => {
        if (isCurrent()) this.#unanswered(item, error, options)
      },
      complete: () => {}, // the answer came before it
    })
    if (isCurrent()) current.withdraw = withdraw
    else withdraw()
  }

  /** Whether it is this one that is being sent. */
  sends(item: Item): boolean {
    return this.#current?.item === item
  }

  /** Nothing more is heard of the one that is being sent. */
  withdraw(): void {
    this.#current?.withdraw?.()
    this.#current = null
  }

  /** Rests no longer. */
  hurry(): void {
    this.#retryTimer?.cancel()
    this.#retryTimer = null
  }

  /** The link is closed; with the next one it begins anew. */
  stop(): void {
    this.withdraw()
    this.hurry()
    this.#failures = 0
  }

  #answered(item: Item, tell: (observer: ResultObserver) => void): void {
    this.#current = null
    this.#failures = 0
    this.#options.settle(item, tell)
    this.#options.onFree()
  }

  #unanswered(item: Item, error: ClientError, { clock, retryDelayMs }: OutboxRoute['options']): void {
    const { mark, onFree } = this.#options
    const verdict = verdictOn(error)
    if (verdict === 'closed') return // stop() follows
    if (verdict === 'refused' && item.observer) {
      return this.#answered(item, observer => observer.error(error))
    }
    this.#current = null
    if (verdict === 'refused') {
      mark(item, 'failed', error)
      return onFree()
    }
    mark(item, 'queued')
    this.#failures += 1
    const again = () => {
      this.hurry()
      onFree()
    }
    // Somebody waits for the answer.
    this.#retryTimer = clock.after(retryDelayMs(this.#failures), again, { keepAlive: true })
  }
}
