/** Who has come by a WebSocket. */
import type { IncomingMessage } from 'node:http'
import type { TRPCRequestInfo } from '@trpc/server/http'
import type { WebSocket } from 'ws'
import type { Codec } from '../../shared/codec/codec.ts'
import { negotiate, type Extensions } from '../../shared/protocol/negotiate.ts'
import type { Guest } from '../session/guest.ts'
import type { MakeContext } from './context.ts'

/** What all guests of one server have in common. */
export interface Reception {
  readonly codecs: ReadonlyMap<string, Codec>
  readonly makeContext: MakeContext
}

const noParams = new URLSearchParams()

export class WebSocketGuest implements Guest {
  readonly req: IncomingMessage
  readonly extensions: Extensions
  readonly codec: Codec | null
  readonly sendsParams: boolean
  readonly #socket: WebSocket
  readonly #reception: Reception

  constructor(socket: WebSocket, req: IncomingMessage, reception: Reception) {
    // Not by new URL(), which throws for some of what strangers send: `//`.
    const query = req.url?.split('?', 2)[1]
    const params = query === undefined ? noParams : new URLSearchParams(query)
    this.req = req
    this.extensions = negotiate(params)
    this.codec = reception.codecs.get(this.extensions.codec ?? '') ?? null
    this.sendsParams = params.get('connectionParams') === '1'
    this.#socket = socket
    this.#reception = reception
  }

  createContext(info: () => TRPCRequestInfo): unknown {
    return this.#reception.makeContext(() => ({ req: this.req, res: this.#socket, info: info() }))
  }
}
