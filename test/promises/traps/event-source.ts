/** An `EventSource` as browsers have it, that knows nothing of tRPC: what it was told, and the cursor it kept. */
import { EventSource } from 'eventsource'
import { sseEvent } from '../../../shared/protocol/sse.ts'
import { eventually } from '../../kit/deadline.ts'

export interface SourceEvent {
  readonly type: string
  readonly data: string
  /** Empty for an event that came without. */
  readonly lastEventId: string
}

export interface Source extends Disposable {
  readonly events: readonly SourceEvent[]
  /** Of the events that are not control events. */
  readonly data: readonly string[]
  /** Waits for an event of this type. */
  until(type: string): Promise<void>
  close(): void
}

export function openEventSource(url: string): Source {
  const source = new EventSource(url, { fetch: quickToComeBack })
  const events: SourceEvent[] = []
  const types = ['message', ...Object.values(sseEvent)]
  for (const type of types) {
    source.addEventListener(type, ({ data, lastEventId }) => events.push({ type, data, lastEventId }))
  }
  return {
    events,
    get data() {
      return events.filter(({ type }) => type === 'message').map(({ data }) => data)
    },
    async until(type) {
      await eventually(() => events.some(event => event.type === type), {
        what: () => `an event ${type} in ${JSON.stringify(events)}`,
      })
    },
    close: () => source.close(),
    [Symbol.dispose]: () => source.close(),
  }
}

/** It waits 3 s before it comes back, unless the stream says otherwise: here it does, in front of what is real. */
const quickToComeBack: typeof fetch = async (input, init) => {
  const response = await fetch(input, init)
  if (!response.body || !response.ok) return response
  const retry = new TextEncoder().encode('retry: 1\n\n')
  const after = new TransformStream<Uint8Array, Uint8Array>({ start: stream => stream.enqueue(retry) })
  return new Response(response.body.pipeThrough(after), response)
}
