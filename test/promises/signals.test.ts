/** Of a topic's subscription the signal is let go of: whoever hears of its end must hear of it all the same. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { initTRPC } from '@trpc/server'
import { createTopic } from 'trpc-sluice/server'
import { createHarness, eventually } from 'trpc-sluice/testing'
import { expect, test } from 'vitest'
import { z } from 'zod'

setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc') as () => void

type Use = (signal: AbortSignal, heard: () => void) => unknown

/** What somebody had in hand when the procedure returned; used later. */
let kept: AbortSignal | null = null

const wayOfUse: Record<string, { readonly first?: Use; readonly later?: (heard: () => void) => unknown }> = {
  'a listener': { first: (signal, heard) => signal.addEventListener('abort', heard) },
  // oxlint-disable-next-line unicorn/prefer-add-event-listener -- it is what is tested
  onabort: { first: (signal, heard) => (signal.onabort = heard) },
  'a signal that follows it': {
    first: (signal, heard) => AbortSignal.any([signal]).addEventListener('abort', heard),
  },
  'a signal that follows it, and that is listened to late': {
    first: signal => (kept = AbortSignal.any([signal])),
    later: heard => kept?.addEventListener('abort', heard),
  },
  'a request under way': {
    first: (signal, heard) => {
      void fetch('http://127.0.0.1:9', { signal }).catch(() => {}) // nothing listens there
      signal.addEventListener('abort', heard)
    },
  },
  'a listener that comes late': {
    first: signal => (kept = signal),
    later: heard => kept?.addEventListener('abort', heard),
  },
  'onabort that comes late': {
    first: signal => (kept = signal),
    // oxlint-disable-next-line unicorn/prefer-add-event-listener -- it is what is tested
    later: heard => kept && (kept.onabort = heard),
  },
  'a signal that follows it late': {
    first: signal => (kept = signal),
    later: heard => kept && AbortSignal.any([kept]).addEventListener('abort', heard),
  },
  'a look at it, by one who has kept it': {
    first: signal => (kept = signal),
    later: async heard => {
      const signal = kept
      await eventually(() => signal?.aborted === true)
      heard()
    },
  },
}

const t = initTRPC.create()
const topic = createTopic({ name: 'signals', event: z.object({ n: z.number() }) })

function createRouter(use: (signal: AbortSignal) => void) {
  return t.router({
    onEvent: t.procedure.subscription(({ signal }) => {
      if (signal) use(signal)
      return topic.subscribe('all', { signal })
    }),
  })
}

/** Until what nobody holds is gone: a weak reference that was looked at holds to the end of its turn. */
async function collectGarbage(): Promise<void> {
  for (let round = 0; round < 4; round++) {
    gc()
    await new Promise(resolve => setImmediate(resolve))
  }
}

for (const [name, { first, later }] of Object.entries(wayOfUse)) {
  for (const transport of ['websocket', 'sse'] as const) {
    test(`the end of a topic's subscription is heard by ${name}, over ${transport}`, async () => {
      let times = 0
      const heard = () => void times++
      const router = createRouter(signal => void first?.(signal, heard))
      await using app = await createHarness({ router, transport })
      const seen = app.record(client => client.onEvent, undefined)
      await seen.started
      await collectGarbage()
      void later?.(heard)
      kept = null
      await collectGarbage()
      expect(times).toBe(0)
      seen.stop()
      await eventually(() => times === 1)
    })
  }
}

/** Whether it can be told of a signal that another follows it; where not, none is let go of (Node 24). */
function showsFollowers(): boolean {
  const { signal } = new AbortController()
  const before = Reflect.ownKeys(signal).length
  AbortSignal.any([signal])
  return Reflect.ownKeys(signal).length > before
}

test.runIf(showsFollowers())(
  "a signal that nobody has kept is not held while a topic's subscription waits, and events go on",
  async () => {
    const signals: WeakRef<AbortSignal>[] = []
    const router = createRouter(signal => void signals.push(new WeakRef(signal)))
    await using app = await createHarness({ router, transport: 'websocket' })
    const seen = app.record(client => client.onEvent, undefined)
    await seen.started
    await eventually(async () => {
      await collectGarbage()
      return signals.length === 1 && signals[0]?.deref() === undefined
    })
    await topic.publish('all', { n: 1 })
    await seen.until(1)
    seen.stop()
    await eventually(() => app.sluice.stats().subscriptions === 0)
  },
)
