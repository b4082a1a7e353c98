import http from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { AnyTRPCRouter } from '@trpc/server'
import { defaultDrainMs, type ContextOf, type DrainOptions, type SluiceOptions } from './options.ts'
import '../shared/scope.ts'
import { systemClock } from '../shared/clock.ts'
import type { SluiceErrorCode } from '../shared/errors.ts'
import { settlesWithin } from './grace.ts'
import { Limits } from './session/limits.ts'
import { buildSluice, type InnerSluice, type Sluice } from './sluice.ts'

export type ServeOptions<TRouter extends AnyTRPCRouter> = SluiceOptions<TRouter> & {
  /** 0 takes a free one. */
  readonly port: number
  /** Default: all interfaces, as Node has it. */
  readonly host?: string
}

export interface Served<Context = unknown> extends AsyncDisposable {
  /** Where clients on this machine connect: `http://localhost:3000`, with the base path. */
  readonly url: string
  readonly port: number
  readonly server: http.Server
  readonly sluice: Sluice<Context>
  /**
   * Stops listening, ends all subscriptions and connections, and settles when all have ended.
   *
   * @param options with either of them, clients are first asked to resume elsewhere (`sluice.drain`).
   */
  close(options?: DrainOptions): Promise<void>
}

/**
 * A router on a port of its own, in one line. Settles when it listens.
 *
 * @throws what `listen` throws, such as `EADDRINUSE`.
 * @example
 * ```ts
 * const { url } = await serve({ router: appRouter, port: 3000 })
 * ```
 */
export async function serve<TRouter extends AnyTRPCRouter>(
  options: ServeOptions<TRouter>,
): Promise<Served<ContextOf<TRouter>>> {
  const { port, host, ...rest } = options
  // What remains after taking two members out of the intersection is its other half.
  const sluice = buildSluice(rest as unknown as SluiceOptions<TRouter>)
  const server = createServer(sluice, Limits.parse(options.limits ?? {}))
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
  const bound = (server.address() as AddressInfo).port // a server that listens on a port has an address
  const base = (options.basePath ?? '').replace(/^\/*|\/+$/g, '')
  let closing: Promise<void> | null = null

  const close = async (how: DrainOptions = {}) => {
    const stopped = new Promise<void>(resolve => server.close(() => resolve()))
    const { withinMs = defaultDrainMs, spreadMs } = how
    if (how.withinMs !== undefined || spreadMs !== undefined) {
      // Queries in flight are Node's to wait for.
      const left = sluice.drain(how).then(() => stopped)
      await settlesWithin(left, withinMs, options.clock ?? systemClock)
    }
    await sluice.close()
    server.closeAllConnections()
    await stopped
  }
  return {
    url: `http://${toHostname(host)}:${bound}${base && `/${base}`}`,
    port: bound,
    server,
    sluice,
    close: how => (closing ??= close(how)),
    [Symbol.asyncDispose]: () => (closing ??= close()),
  }
}

function createServer(sluice: InnerSluice, { requestHeadMs }: Limits): http.Server {
  const server = http.createServer(
    {
      headersTimeout: requestHeadMs,
      requestTimeout: 0, // which is for us to keep (limits.requestMs), on every host
      connectionsCheckingInterval: Math.min(requestHeadMs / 2, 5_000),
    },
    sluice.node,
  )
  server.on('upgrade', sluice.upgrade)
  server.on('clientError', (error, socket) => {
    turnAway(error, socket as Socket, sluice) // a Duplex by its type, for those who hand in another
  })
  return server
}

/** What Node answers by itself where nobody listens, and counts for us. */
function turnAway(error: Error & { readonly code?: string }, socket: Socket, sluice: InnerSluice): void {
  if (error.code !== 'ECONNRESET') {
    const [status, code] = refusalOf(error.code)
    sluice.refused(code)
    // Not into a response that has begun.
    if (socket.writable && socket.bytesWritten === 0) {
      socket.write(`HTTP/1.1 ${status} ${http.STATUS_CODES[status]}\r\nConnection: close\r\n\r\n`)
    }
  }
  socket.destroy() // whether or not the peer reads
}

function refusalOf(code: string | undefined): readonly [status: number, code: SluiceErrorCode] {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return [408, 'SILENT_PEER']
  if (code === 'HPE_HEADER_OVERFLOW') return [431, 'PAYLOAD_TOO_LARGE']
  if (code === 'HPE_CHUNK_EXTENSIONS_OVERFLOW') return [413, 'PAYLOAD_TOO_LARGE']
  return [400, 'MESSAGE_INVALID']
}

function toHostname(host: string | undefined): string {
  if (host === undefined || host === '0.0.0.0' || host === '::') return 'localhost'
  return host.includes(':') ? `[${host}]` : host
}
