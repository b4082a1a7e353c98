/** What the traps are laid around: a topic of numbers, whose subscription remembers what it was asked for. */
import { initTRPC } from '@trpc/server'
import { WebSocket } from 'ws'
import { createTopic, resumable } from 'trpc-sluice/server'
import type { FaultProxy } from 'trpc-sluice/testing'
import { z } from 'zod'

export const carriers = ['websocket', 'stream', 'sse'] as const

interface Context {
  /** From the connection params, where a test has any. */
  readonly token?: string | undefined
}

type Config = Parameters<ReturnType<typeof initTRPC.context<Context>>['create']>[0]

const create = (config?: Config) => initTRPC.context<Context>().create({ isDev: false, ...config })

export const t = create()

interface NumbersOptions {
  /** What the subscription is built from. */
  readonly procedure?: typeof t.procedure
  /** Of the router. */
  readonly sse?: NonNullable<Config>['sse']
}

/** Each test has its own. */
export function createNumbers({ procedure = t.procedure, sse }: NumbersOptions = {}) {
  const topic = createTopic({ name: 'numbers', event: z.object({ n: z.number() }) })
  /** The cursor of each asking, in order; undefined where there was none. */
  const asked: (string | undefined)[] = []
  const onNumber = procedure.input(resumable()).subscription(({ input, signal }) => {
    asked.push(input.lastEventId)
    return topic.subscribe('all', { after: input.lastEventId, signal })
  })
  const publish = async (...numbers: number[]) => {
    for (const n of numbers) await topic.publish('all', { n })
  }
  return { onNumber, router: create({ sse }).router({ onNumber }), asked, publish }
}

/** The client's line is cut, something happens, and only then does anybody get through again. */
export async function whileAway(proxy: FaultProxy, happen: () => Promise<unknown>): Promise<void> {
  proxy.refuse()
  await proxy.cut()
  await happen()
  proxy.accept()
}

/** Parts for a client's link that show what it sends, and when it tries to connect. */
export function watchClient() {
  let attempts = 0
  /** Each message over a WebSocket, heartbeats left out, with the number of the attempt. */
  const sent: { readonly attempt: number; readonly id?: number; readonly method: string }[] = []
  class Watched extends WebSocket {
    readonly #attempt: number

    constructor(url: string) {
      super(url)
      this.#attempt = attempts += 1
    }

    override send(frame: string): void {
      super.send(frame)
      if (frame === 'PING' || frame === 'PONG') return
      for (const message of [JSON.parse(frame)].flat()) sent.push({ ...message, attempt: this.#attempt })
    }
  }
  const watchedFetch: typeof fetch = (input, init) => {
    attempts += 1
    return fetch(input, init)
  }
  return {
    /** To be spread into the link's options. */
    parts: { WebSocket: Watched, fetch: watchedFetch },
    sent,
    /** Sockets that were begun, and HTTP requests. */
    get attempts() {
      return attempts
    },
  }
}

/** Settles when somebody opens it. */
export function gate() {
  let open = () => {}
  const passed = new Promise<void>(resolve => (open = resolve))
  return { passed, open: () => open() }
}

/** Settles in a later turn of the event loop: whatever needs no timer and no network has happened. */
export function nextTurn(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}
