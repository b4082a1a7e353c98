/**
 * A transport over HTTP whose code is loaded when it is first needed: a page that has its WebSocket never asks for it.
 * Code that does not come (the network is down, a deploy has removed it) is a lost attempt like any other.
 */
import type { TransportKind } from '../connection/machine.ts'
import type { ResolvedOptions } from '../options.ts'
import { toLoss, type Transport, type TransportFactory, type TransportReports } from './transport.ts'

/** @param create makes others beside it, to see whether they work. */
export type CreateTransport = (
  options: ResolvedOptions,
  reports: TransportReports,
  create: TransportFactory,
) => Transport

/** @param loading the module of the transport. */
export function openLazily(
  kind: TransportKind,
  loading: Promise<{ readonly open: CreateTransport }>,
  options: ResolvedOptions,
  reports: TransportReports,
  create: TransportFactory,
): Transport {
  const { clock, connectTimeoutMs } = options
  let transport: Transport | null = null
  let over = false

  const close = () => {
    over = true
    timer.cancel()
    transport?.close()
  }
  const fail = (thrown: unknown) => {
    if (over) return
    close()
    reports.lost(toLoss(thrown, `The code for "${kind}" could not be loaded`))
  }
  const timer = clock.after(connectTimeoutMs, () =>
    fail(new Error(`it did not come within ${connectTimeoutMs} ms.`)),
  )
  // The first to be called when the code has come; those that wait for it meanwhile follow in their order.
  loading
    .then(({ open }) => {
      if (over) return
      timer.cancel()
      transport = open(options, reports, create)
    })
    .catch(fail)
  const whenLoaded = (use: (transport: Transport) => void) => {
    loading.then(() => transport && use(transport)).catch(fail)
  }

  return {
    kind,
    request: null, // queries and mutations are HTTP requests of their own
    subscribe: asked => whenLoaded(loaded => loaded.subscribe(asked)),
    unsubscribe: id => whenLoaded(loaded => loaded.unsubscribe(id)),
    probe: (hint, withinMs) => transport?.probe(hint, withinMs),
    close,
  }
}
