/**
 * tRPC's own adapters by name and signature, over our path: moving over is one changed import. What they limit by
 * default is what tRPC limits, which is nothing; `createSluice` is where the safe defaults are.
 */
import type { IncomingMessage, RequestListener } from 'node:http'
import type { AnyTRPCRouter } from '@trpc/server'
import type { CreateHTTPHandlerOptions } from '@trpc/server/adapters/standalone'
import type { WSSHandlerOptions } from '@trpc/server/adapters/ws'
import type { WebSocket } from 'ws'
import type { SluiceOptions } from './options.ts'
import { stockLimits } from './session/limits.ts'
import { buildSluice } from './sluice.ts'

/** `applyWSSHandler` of `@trpc/server/adapters/ws`. Origins and message sizes are those of your `WebSocketServer`. */
export function applyWSSHandler<TRouter extends AnyTRPCRouter>(
  options: WSSHandlerOptions<TRouter>,
): { broadcastReconnectNotification(): void } {
  const { wss, prefix, keepAlive = { enabled: false } } = options
  const sluice = buildSluice(toSluiceOptions(options, { keepAlive }))
  wss.on('connection', (socket: WebSocket, req: IncomingMessage) => {
    if (prefix && !req.url?.startsWith(prefix)) return
    sluice.accept(socket, req)
  })
  return { broadcastReconnectNotification: () => sluice.broadcastReconnectNotification() }
}

/** `createHTTPHandler` of `@trpc/server/adapters/standalone`. */
export function createHTTPHandler<TRouter extends AnyTRPCRouter>(
  options: CreateHTTPHandlerOptions<TRouter>,
): RequestListener {
  const maxBodyBytes = options.maxBodySize ?? stockLimits.maxBodyBytes
  return buildSluice(toSluiceOptions(options, { limits: { ...stockLimits, maxBodyBytes } })).node
}

/** tRPC's options have our names; only the types of their callbacks are those of one host. */
function toSluiceOptions(
  options: { readonly router: AnyTRPCRouter },
  more: object,
): SluiceOptions<AnyTRPCRouter> {
  return {
    limits: stockLimits,
    createContext: () => undefined,
    ...options,
    ...more,
  } as SluiceOptions<AnyTRPCRouter>
}
