/** A tab that shares its connection with the others of its user; the test reads `tab`. */
import { createTRPCClient } from '@trpc/client'
import { iterate, sluiceLink, type TransportKind } from 'trpc-sluice/client'
import { oncePerBrowser, shareTabs } from 'trpc-sluice/tabs'
import superjson from 'superjson'
import type { TabsRouter } from '../kit/tabs.ts'

const params = new URLSearchParams(location.search)
let user = params.get('user') ?? 'ann'
const transport = (params.get('transport') ?? 'auto') as 'auto' | TransportKind

const link = sluiceLink<TabsRouter>({
  url: '/trpc',
  transformer: superjson,
  transport,
  connectionParams: () => ({ user }),
  tabs: shareTabs({ identity: () => user, heartbeatMs: 500, answerMs: 500 }),
  backoff: { baseMs: 20, maxMs: 200 },
})
const client = createTRPCClient<TabsRouter>({ links: [link] })

const numbersAfter = (lastEventId?: string) => iterate(client.onNumber, { lastEventId }, { maxBuffered: 10 })

const tab = {
  started: 0,
  seen: [] as number[],
  lastEventId: undefined as string | undefined,
  errors: [] as string[],
  states: [] as string[],
  /** What the connection runs over; null while there is none. */
  via() {
    const state = link.connection.get()
    return state.at === 'ready' ? state.transport : null
  },
  whoami: () => client.whoami.query(),
  fail: () => client.fail.mutate().catch((error: { data?: { code?: unknown } }) => error.data?.code),
  login(name: string) {
    user = name
  },
  /** Keeps the page busy, as a long task does. */
  hang(ms: number) {
    const until = Date.now() + ms
    while (Date.now() < until);
  },
  /** A loop that takes nothing until it is told to. */
  slow: {
    events: null as ReturnType<typeof numbersAfter> | null,
    start() {
      tab.slow.events = numbersAfter(tab.lastEventId)
    },
    async take(count: number) {
      const taken: number[] = []
      while (taken.length < count) {
        const next = await tab.slow.events?.next()
        if (next?.value && 'n' in next.value.data) taken.push(next.value.data.n)
      }
      return taken
    },
  },
  once: { running: false, dealt: [] as number[] },
}
export type Tab = typeof tab
Object.assign(globalThis, { tab })

link.connection.subscribe(() => tab.states.push(link.connection.get().at))

client.onNumber.subscribe(
  {},
  {
    onStarted: () => (tab.started += 1),
    onData: item => {
      if (!('data' in item)) return
      const { n, at } = item.data
      tab.lastEventId = item.id
      tab.seen.push(at.getTime() === n ? n : NaN)
    },
    onError: error => tab.errors.push(error.message),
  },
)

if (params.has('once')) {
  void oncePerBrowser('numbers', async ({ signal, place }) => {
    tab.once.running = true
    signal.addEventListener('abort', () => (tab.once.running = false))
    for await (const { id, data } of iterate(client.onNumber, { lastEventId: place.get() }, { signal })) {
      if ('n' in data) tab.once.dealt.push(data.n)
      place.set(id)
    }
  })
}
