/**
 * A transport over HTTP whose code is loaded when it is first needed: a page that has its WebSocket never asks for it.
 * Code that does not come (the network is down, a deploy has removed it) is a lost attempt like any other.
 */
import type { TransportKind } from '../connection/machine.ts'
import type { ResolvedOptions } from '../options.ts'
import { toLoss, type Transport, type TransportReports } from './transport.ts'

export type CreateTransport = (options: ResolvedOptions, reports: TransportReports) => Transport

/** Begins to load at once. */
export function openLazily(
  kind: TransportKind,
  load: () => Promise<CreateTransport>,
  options: ResolvedOptions,
  reports: TransportReports,
): Transport {
  const { clock, connectTimeoutMs } = options
  let transport: Transport | null = null
  let over = false
  /** What is to be done when the code has come. */
  const waiting: ((transport: Transport) => void)[] = []

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
  load().then(create => {
    if (over) return
    timer.cancel()
    transport = create(options, reports)
    for (const use of waiting) use(transport)
  }, fail)

  const whenLoaded = (use: (transport: Transport) => void) => {
    if (transport) use(transport)
    else waiting.push(use)
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
