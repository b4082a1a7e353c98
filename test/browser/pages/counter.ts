/** A page with an outbox that survives it; the test calls `counter`. */
import { createTRPCClient } from '@trpc/client'
import { sluiceLink } from 'trpc-sluice/client'
import { createOutbox, indexedDbOutboxStorage } from 'trpc-sluice/outbox'
import type { CounterRouter } from '../kit/counter.ts'

const params = new URLSearchParams(location.search)
const tab = params.get('tab') ?? ''
const outbox = createOutbox({ storage: indexedDbOutboxStorage() })
const link = sluiceLink<CounterRouter>({
  url: params.get('router') ?? '',
  transport: 'websocket',
  outbox,
  backoff: { baseMs: 10, maxMs: 50 },
})
const client = createTRPCClient<CounterRouter>({ links: [link] })

const counter = {
  /** Adds the numbers up to `count`, and waits for no answer. */
  add(count: number) {
    for (let n = 1; n <= count; n++)
      client.add.mutate({ tab, n }).catch(error => counter.errors.push(String(error)))
  },
  waiting: () => outbox.get().length,
  kept: () => outbox.get().every(({ kept }) => kept),
  errors: [] as string[],
}
export type Counter = typeof counter
Object.assign(globalThis, { counter })
