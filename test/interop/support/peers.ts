/** The same router served twice: by tRPC's own adapters, and by ours under the same options. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { AnyTRPCRouter } from '@trpc/server'
import * as trpcHttp from '@trpc/server/adapters/standalone'
import * as trpcWs from '@trpc/server/adapters/ws'
import { WebSocketServer } from 'ws'
import { applyWSSHandler, createHTTPHandler } from '../../../server/index.ts'
import { RawResponse, type RawRequest } from './raw-http.ts'
import { RawWebSocket } from './raw-websocket.ts'

/** Options that tRPC's adapters take, without the router. */
export type PeerOptions = Partial<
  Omit<trpcHttp.CreateHTTPHandlerOptions<AnyTRPCRouter>, 'router' | 'onError' | 'createContext'> &
    Omit<trpcWs.WSSHandlerOptions<AnyTRPCRouter>, 'router' | 'wss' | 'onError' | 'createContext'>
> & { readonly createContext?: (options: { req: { url?: string }; info: unknown }) => unknown }

export interface Peer {
  readonly url: string
  /** What `onError` was told: path, type, code, message. */
  readonly errors: string[]
  broadcastReconnectNotification(): void
  open(path?: string, headers?: Record<string, string>): Promise<RawWebSocket>
  get(path: string, options?: RawRequest): Promise<RawResponse>
}

export type PeerKind = 'stock' | 'ours'

/** Runs `use` against one peer and takes it down. */
export async function withPeer<T>(
  kind: PeerKind,
  router: AnyTRPCRouter,
  options: PeerOptions,
  use: (peer: Peer) => Promise<T>,
): Promise<T> {
  const adapters = kind === 'stock' ? { ...trpcHttp, ...trpcWs } : { applyWSSHandler, createHTTPHandler }
  const errors: string[] = []
  const all = {
    ...options,
    router,
    onError: ({
      path,
      type,
      error,
    }: {
      path?: string
      type: string
      error: { code: string; message: string }
    }) => void errors.push(`${path} ${type} ${error.code} ${error.message}`),
  }
  const server = createServer(adapters.createHTTPHandler(all as never))
  const wss = new WebSocketServer({ server })
  const handler = adapters.applyWSSHandler({ ...all, wss } as never)
  const url = await listen(server)
  const sockets: RawWebSocket[] = []
  const responses: RawResponse[] = []
  try {
    return await use({
      url,
      errors,
      broadcastReconnectNotification: () => handler.broadcastReconnectNotification(),
      async open(path = '', headers = {}) {
        const socket = await RawWebSocket.open(url + path, headers)
        sockets.push(socket)
        return socket
      },
      async get(path, requestOptions) {
        const response = await RawResponse.open(url + path, requestOptions)
        responses.push(response)
        return response
      },
    })
  } finally {
    await Promise.all([...sockets, ...responses].map(client => client[Symbol.asyncDispose]()))
    wss.close()
    server.closeAllConnections()
    await new Promise(resolve => server.close(resolve))
  }
}

export async function listen(server: Server): Promise<string> {
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
