/**
 * A follower's subscription in the tab that leads. What comes waits in an inbox like that of a loop, whose bound reaches
 * the server, until the follower has room: so a tab that takes nothing makes nothing grow.
 */
import type { Credit } from '../../shared/protocol/credit.ts'
import type { RequestId } from '../../shared/protocol/messages.ts'
import { Inbox, type Flow } from '../subscriptions/inbox.ts'
import type { ResultObserver } from '../subscriptions/subscription.ts'
import { toFailure, type Relayable } from './parcel.ts'

/** Knows the size of the event that is being handed over. */
class SizingInbox extends Inbox<Relayable> {
  arriving = 0

  override receive(bytes: number, handOver: () => void): void {
    this.arriving = bytes
    super.receive(bytes, handOver)
  }
}

export class Relayed {
  readonly #id: RequestId
  readonly #window: Credit
  readonly #inbox: SizingInbox
  /** The sizes of what is on its way to the follower, or waits there to be taken. */
  #away: number[] = []
  #bytesAway = 0
  #onRoom: (() => void) | null = null
  #closed = false

  /** @param send takes one message after the other, the last of which says that it is over. */
  constructor(id: RequestId, window: Credit, send: (message: Relayable) => void) {
    this.#id = id
    this.#window = window
    this.#inbox = new SizingInbox({ maxItems: window.events, maxBytes: window.bytes })
    this.#pump(send).catch((thrown: unknown) => {
      if (!this.#closed) send(toFailure(id, thrown))
    })
  }

  get flow(): Flow {
    return this.#inbox
  }

  /** @param cursor where the subscription stands. */
  observerOf(cursor: () => string | undefined): ResultObserver {
    const id = this.#id
    const inbox = this.#inbox
    return {
      next: ({ result }) => {
        if (result.type === 'started') {
          inbox.push({ type: 'started', id, position: cursor() })
        } else if (result.type === 'data' || result.type === undefined) {
          const { id: eventId, data } = result
          inbox.push({ type: 'data', id, eventId, data, size: inbox.arriving })
        }
      },
      error: error => inbox.end(error),
      complete: () => inbox.end(),
    }
  }

  /** The follower has taken so many events. */
  taken(events: number): void {
    for (const size of this.#away.splice(0, events)) this.#bytesAway -= size
    this.#onRoom?.()
    this.#onRoom = null
  }

  /** Nothing is sent any more. */
  close(): void {
    this.#closed = true
    this.#inbox.discard()
    this.#onRoom?.()
  }

  async #pump(send: (message: Relayable) => void): Promise<void> {
    for (;;) {
      const next = await this.#inbox.next()
      if (this.#closed) return
      if (next.done) return send({ type: 'stopped', id: this.#id })
      const message = next.value
      if (message.type === 'data') await this.#room(message.size)
      if (this.#closed) return
      send(message)
    }
  }

  /** Settles when the window has room for an event, which one that is larger than the window has, too. */
  async #room(size: number): Promise<void> {
    const { events, bytes } = this.#window
    while (!this.#closed && (this.#away.length >= events || this.#bytesAway >= bytes)) {
      await new Promise<void>(resolve => (this.#onRoom = resolve))
    }
    this.#away.push(size)
    this.#bytesAway += size
  }
}
