/** Opens 200 subscriptions over SSE as soon as it is loaded; the test reads `crowd`. */
import { createTRPCClient } from '@trpc/client'
import { sluiceLink } from 'trpc-sluice/client'
import type { CrowdRouter } from '../kit/crowd.ts'

const client = createTRPCClient<CrowdRouter>({
  links: [sluiceLink<CrowdRouter>({ url: '/trpc', transport: 'sse' })],
})

const crowd = {
  started: 0,
  errors: [] as string[],
  /** What each has seen, in order. */
  seen: Array.from({ length: 200 }, (): number[] => []),
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
