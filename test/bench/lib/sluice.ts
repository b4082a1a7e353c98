import { createSluice, createTopic, type TopicStream } from 'trpc-sluice/server'
import { createEvent, Event } from './event.ts'
import type { Serve } from './peer.ts'
import { retained } from './recent.ts'
import { createRouter, trpcOpening } from './trpc.ts'

/** Our server, whose subscription returns what is made of a topic's stream. */
export function sluiceWith(wrap: (stream: TopicStream<Event>) => AsyncIterable<unknown>): Serve {
  return (server, { deflates }) => {
    const topic = createTopic({ name: 'bench', event: Event, retain: { maxEvents: retained } })
    const router = createRouter(({ after, signal }) => wrap(topic.subscribe('all', { after, signal })))
    const unlimited = Number.MAX_SAFE_INTEGER
    const { node, upgrade } = createSluice({
      router,
      limits: { messagesPerSecond: unlimited },
      compression: deflates && { thresholdBytes: 0 },
    })
    server.on('request', node)
    server.on('upgrade', upgrade)
    return {
      publish: async n => (await topic.publish('all', createEvent(n))).id,
      // Who deflates is our own client, which takes batches.
      opening: (carrier, ask) => trpcOpening(carrier, ask, deflates, deflates ? '/?sluice=1' : '/'),
    }
  }
}
