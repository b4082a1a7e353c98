/**
 * A tab that keeps its place and all that it has seen where it finds both again when it is reloaded, or closed and
 * opened anew; the test asks `reader`.
 */
import { createTRPCClient } from '@trpc/client'
import { sluiceLink, type TransportKind } from 'trpc-sluice/client'
import { shareTabs } from 'trpc-sluice/tabs'
import { createRecorder } from '../../kit/recorder.ts'
import { describeConnection } from '../../kit/recording.ts'
import type { ReadingRouter } from '../kit/reading-server.ts'

interface Kept {
  readonly place?: string | undefined
  readonly seen: readonly number[]
  readonly errors: readonly string[]
}

const params = new URLSearchParams(location.search)
const name = params.get('name') ?? ''
const kept: Kept = JSON.parse(localStorage.getItem(name) ?? 'null') ?? {
  place: params.get('beginning') ?? undefined,
  seen: [],
  errors: [],
}

const errors = [...kept.errors]
const states: string[] = []
const explain = () => [...errors, ...states.slice(-20)].join(' → ')
const recorder = createRecorder<number>({ explain })
for (const n of kept.seen) recorder.push(n)

let place = kept.place
/** All or nothing, however the tab ends. */
function keep(): void {
  localStorage.setItem(name, JSON.stringify({ place, seen: recorder.numbers, errors } satisfies Kept))
}

function complain(error: unknown): void {
  errors.push(String(error))
  keep()
}
addEventListener('error', ({ message }) => complain(message))
addEventListener('unhandledrejection', ({ reason }) => complain(reason))

const link = sluiceLink<ReadingRouter>({
  url: params.get('router') ?? '',
  transport: (params.get('transport') ?? 'auto') as TransportKind | 'auto', // by the test
  ...(params.has('shared') && { tabs: shareTabs({ identity: 'ann', heartbeatMs: 300, answerMs: 300 }) }),
  // Quick enough that a stall is noticed and overcome within a schedule.
  heartbeatMs: 200,
  heartbeatTimeoutMs: 300,
  // A browser makes a page that has failed to open WebSockets wait before each of the next.
  connectTimeoutMs: 1_000,
  backoff: { baseMs: 5, maxMs: 50 },
  climbAfterMs: 50,
  onError: complain,
})
link.connection.subscribe(() => states.push(describeConnection(link.connection.get())))

let start: () => void
const reader = {
  started: new Promise<void>(resolve => (start = resolve)),
  until: (count: number, withinMs: number) => recorder.until(count, { withinMs }),
  /** What it has seen, with its errors, of which there should be none. */
  report: (expected: number) => ({ ...recorder.report(expected), errors }),
}
export type Reader = typeof reader
Object.assign(globalThis, { reader })

createTRPCClient<ReadingRouter>({ links: [link] }).onNumber.subscribe(
  { lastEventId: place },
  {
    onStarted: () => start(),
    onData(item) {
      if (!('data' in item)) return complain(JSON.stringify(item))
      recorder.push(item.data.n)
      place = item.id
      keep()
    },
    onError(error) {
      complain(error)
      recorder.end(error)
    },
    onComplete: () => recorder.end(),
  },
)
