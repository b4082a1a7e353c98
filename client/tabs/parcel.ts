/**
 * What tabs say to each other. A group of tabs has one channel to find its leader, the lobby; each follower then has a
 * channel of its own to the leader, a ride, whose name nobody had before: so what is late for an earlier one finds
 * nobody, and an event is brought to one tab only.
 */
import { TRPCClientError } from '@trpc/client'
import { isSluiceError, SluiceError, toError, type SluiceErrorCode } from '../../shared/errors.ts'
import type { Credit } from '../../shared/protocol/credit.ts'
import type { RequestId } from '../../shared/protocol/messages.ts'
import type { ResolvedOptions } from '../options.ts'
import type { AskedInput, ClientError, Received } from '../transports/transport.ts'

export type LobbyMessage =
  /** Who leads is to serve this ride; null: whoever that is. An old leader may hear of it long after. */
  | { readonly say: 'board'; readonly ride: string; readonly leader: string | null }
  /** This tab leads, and has a connection now or soon. */
  | { readonly say: 'here'; readonly leader: string }

export type ToLeader =
  | {
      readonly say: 'subscribe'
      readonly id: RequestId
      readonly path: string
      readonly input: Packed
      readonly cursor: string | undefined
      readonly again: boolean
      readonly lag: boolean
      /** How much may be on its way to the follower, or wait there to be taken. */
      readonly window: Credit
    }
  | { readonly say: 'unsubscribe'; readonly id: RequestId }
  | {
      readonly say: 'request'
      readonly id: RequestId
      readonly kind: 'query' | 'mutation'
      readonly path: string
      readonly input: Packed
      readonly idempotencyKey: string | undefined
    }
  /** So many events of the window have been taken. */
  | { readonly say: 'taken'; readonly id: RequestId; readonly events: number }
  /** The follower has reason to doubt the connection. */
  | { readonly say: 'look' }
  | { readonly say: 'leave' }
  | Beat

export type ToFollower =
  | { readonly say: 'here'; readonly leader: string }
  /** The connection is there; `requests`: it takes queries and mutations, too. */
  | { readonly say: 'opened'; readonly requests: boolean }
  | { readonly say: 'received'; readonly message: PackedMessage }
  /** Nothing more comes on this ride. */
  | { readonly say: 'lost'; readonly why: PackedReason; readonly final: boolean }
  | Beat

/** Each side asks the other for a sign of life when it has heard nothing for a while. */
export type Beat = { readonly say: 'ping' } | { readonly say: 'pong' }

/** What can be relayed: the rest is between the leader and its server. */
export type Relayable = Exclude<Received, { type: 'complaint' | 'reconnect' | 'renew' }>

/** A value as it goes from tab to tab. */
type Packed = unknown

type PackedMessage =
  | Exclude<Relayable, { type: 'data' | 'error' }>
  | (Omit<Extract<Relayable, { type: 'data' }>, 'data'> & { readonly data: Packed })
  | { readonly type: 'error'; readonly id: RequestId; readonly error: PackedError }

interface PackedReason {
  readonly code: SluiceErrorCode
  readonly message: string
  readonly data: Readonly<Record<string, unknown>>
}

type PackedError = { readonly shape: Packed } | { readonly ours: PackedReason } | { readonly message: string }

/**
 * Values go as they would over the wire, through the transformer and as JSON: what the browser's own cloning would make
 * of a `Decimal` or a reactive proxy is not what the server sent. Where there is a codec there are no such values, and
 * bytes are best cloned.
 */
export class Packer {
  readonly #options: Pick<ResolvedOptions, 'codec' | 'transformer'>

  constructor(options: Pick<ResolvedOptions, 'codec' | 'transformer'>) {
    this.#options = options
  }

  packInput(input: AskedInput): Packed {
    return this.#options.codec ? input(true) : JSON.stringify(input(false))
  }

  unpackInput(packed: Packed): unknown {
    return this.#unpack(packed, 'input')
  }

  pack(message: Relayable): PackedMessage {
    if (message.type === 'data') return { ...message, data: this.#packOutput(message.data) }
    if (message.type !== 'error') return message
    const { id, error } = message
    if (error.shape) return { type: 'error', id, error: { shape: this.#packOutput(error.shape) } }
    const { cause } = error
    const packed = isSluiceError(cause) ? { ours: packReason(cause) } : { message: error.message }
    return { type: 'error', id, error: packed }
  }

  unpack(message: PackedMessage): Relayable {
    try {
      if (message.type === 'data') return { ...message, data: this.#unpack(message.data, 'output') }
      if (message.type === 'error') return { ...message, error: this.#unpackError(message.error) }
      return message
    } catch (thrown) {
      return toFailure(message.id, thrown)
    }
  }

  #unpackError(packed: PackedError): ClientError {
    if ('ours' in packed) return TRPCClientError.from(unpackReason(packed.ours))
    if ('message' in packed) return new TRPCClientError(packed.message)
    return TRPCClientError.from({ error: this.#unpack(packed.shape, 'output') })
  }

  #packOutput(value: unknown): Packed {
    const { codec, transformer } = this.#options
    return codec ? value : JSON.stringify(transformer.output.serialize(value))
  }

  #unpack(packed: Packed, way: 'input' | 'output'): unknown {
    const { codec, transformer } = this.#options
    if (codec) return packed
    // Undefined is what JSON.stringify makes of a value that is none.
    return transformer[way].deserialize(packed === undefined ? undefined : JSON.parse(String(packed)))
  }
}

/** What the transformer cannot read is an error of the one request. */
export function toFailure(id: RequestId, thrown: unknown): Relayable {
  return { type: 'error', id, error: TRPCClientError.from(toError(thrown)) }
}

export function packReason({ code, message, data }: SluiceError): PackedReason {
  return { code, message, data }
}

export function unpackReason({ code, message, data }: PackedReason): SluiceError {
  return new SluiceError(code, message, { data })
}

/** A channel between tabs that knows what is said on it. */
export class Channel<Out, In> {
  readonly #channel: BroadcastChannel

  constructor(name: string, received: (message: In) => void) {
    this.#channel = new BroadcastChannel(name)
    // From our own code in another tab; what is late finds the channel closed.
    this.#channel.addEventListener('message', ({ data }) => received(data as In))
  }

  post(message: Out): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a channel has one origin and no target
    this.#channel.postMessage(message)
  }

  close(): void {
    this.#channel.close()
  }
}
