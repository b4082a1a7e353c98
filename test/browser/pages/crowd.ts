/** Opens as many subscriptions as its address says, by the transport that it says; the test reads `crowd`. */
import { createTRPCClient } from '@trpc/client'
import { sluiceLink, type TransportKind } from 'trpc-sluice/client'
import type { CrowdRouter } from '../kit/crowd.ts'

const wish = new URL(location.href).searchParams
const transport = (wish.get('transport') ?? 'auto') as TransportKind | 'auto' // by the test

const client = createTRPCClient<CrowdRouter>({
  links: [sluiceLink<CrowdRouter>({ url: '/trpc', transport })],
})

const crowd = {
  started: 0,
  errors: [] as string[],
  /** What each has seen, in order. */
  seen: Array.from({ length: Number(wish.get('count')) }, (): number[] => []),
  hello: () => client.hello.query(),
}
export type Crowd = typeof crowd
Object.assign(globalThis, { crowd })

for (const numbers of crowd.seen) {
  client.onNumber.subscribe(
    {},
    {
      onStarted: () => (crowd.started += 1),
      onData: item => 'data' in item && numbers.push(item.data.n),
      onError: error => crowd.errors.push(error.message),
    },
  )
}
