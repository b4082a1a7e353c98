/** A client on a link that is quick to come back, and that ends with its test. */
import { createTRPCClient } from '@trpc/client'
import type { TRPCClient } from '@trpc/client'
import superjson from 'superjson'
import { WebSocket } from 'ws'
import { sluiceLink, type SluiceLink, type SluiceLinkOptions } from 'trpc-sluice/client'
import { createRecorder, type Recorder } from 'trpc-sluice/testing'
import type { Router } from './server.ts'

/** Every server with every transport that it knows. */
export const matrix = [
  { kind: 'stock tRPC', transport: 'websocket' },
  { kind: 'stock tRPC', transport: 'sse' },
  { kind: 'Sluice', transport: 'websocket' },
  { kind: 'Sluice', transport: 'stream' },
  { kind: 'Sluice', transport: 'sse' },
] as const

export interface TestClient extends Disposable {
  readonly link: SluiceLink<Router>
  readonly client: TRPCClient<Router>
  /** Each state that the connection was in, with what it ran over. */
  readonly states: string[]
  readonly errors: Error[]
}

export type LinkOptions = Omit<SluiceLinkOptions<Router>, 'transformer'>

export function connect(options: LinkOptions): TestClient {
  const errors: Error[] = []
  const link = sluiceLink<Router>({
    transformer: superjson,
    WebSocket,
    backoff: { baseMs: 5, maxMs: 40 },
    onError: error => errors.push(error),
    ...options,
  })
  const states: string[] = []
  link.connection.subscribe(() => {
    const state = link.connection.get()
    const name = 'transport' in state ? `${state.at} ${state.transport}` : state.at
    if (states.at(-1) !== name) states.push(name)
  })
  return {
    link,
    client: createTRPCClient<Router>({ links: [link] }),
    states,
    errors,
    [Symbol.dispose]: () => link.close(),
  }
}

export interface LogItem {
  readonly id: string
  readonly data: { readonly n: number; readonly at: Date }
}

export interface Following {
  readonly seen: Recorder<LogItem>
  /** What else the observer was told, in order. */
  readonly told: string[]
  readonly unsubscribe: () => void
}

/** Subscribes to the log, and records. */
export function follow({ client, link }: TestClient, input: { lastEventId?: string } = {}): Following {
  const explain = () => `connection ${JSON.stringify(link.connection.get())}`
  const seen = createRecorder<LogItem>({ explain })
  const told: string[] = []
  const { unsubscribe } = client.onLog.subscribe(input, {
    onData: seen.push,
    onStarted: () => told.push('started'),
    onStopped: () => told.push('stopped'),
    onComplete: () => told.push('complete'),
    onError: error => told.push(`error: ${error.message}`),
    onConnectionStateChange: ({ state }) => told.push(state),
  })
  return { seen, told, unsubscribe }
}

/** The numbers from one to another, both included. */
export function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i)
}
