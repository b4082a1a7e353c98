import http from 'node:http'
import type { AddressInfo } from 'node:net'
import type { AnyTRPCRouter } from '@trpc/server'
import type { DrainOptions, SluiceOptions } from './options.ts'
import '../shared/scope.ts'
import { systemClock } from '../shared/clock.ts'
import { settlesWithin } from './procedures/grace.ts'
import { createSluice, type Sluice } from './sluice.ts'

export type ServeOptions<TRouter extends AnyTRPCRouter> = SluiceOptions<TRouter> & {
  /** 0 takes a free one. */
  readonly port: number
  /** Default: all interfaces, as Node has it. */
  readonly host?: string
}

export interface Served extends AsyncDisposable {
  /** Where clients on this machine connect: `http://localhost:3000`, with the base path. */
  readonly url: string
  readonly port: number
  readonly server: http.Server
  readonly sluice: Sluice
  /**
   * Stops listening, ends all subscriptions and connections, and settles when all have ended.
   *
   * @param options with `withinMs`, clients are first asked to resume elsewhere (`sluice.drain`).
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
export async function serve<TRouter extends AnyTRPCRouter>(options: ServeOptions<TRouter>): Promise<Served> {
  const { port, host, ...rest } = options
  // What remains after taking two members out of the intersection is its other half.
  const sluice = createSluice(rest as unknown as SluiceOptions<TRouter>)
  const server = http.createServer(sluice.node)
  server.on('upgrade', sluice.upgrade)
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

  const close = async ({ withinMs }: DrainOptions = {}) => {
    const stopped = new Promise<void>(resolve => server.close(() => resolve()))
    if (withinMs !== undefined) {
      // Queries in flight are Node's to wait for.
      const left = sluice.drain({ withinMs }).then(() => stopped)
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

function toHostname(host: string | undefined): string {
  if (host === undefined || host === '0.0.0.0' || host === '::') return 'localhost'
  return host.includes(':') ? `[${host}]` : host
}
