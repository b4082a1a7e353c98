/** graphql-ws: a subscription field whose generator is asked only as fast as its socket takes. */
import { GraphQLInt, GraphQLNonNull, GraphQLObjectType, GraphQLSchema, GraphQLString } from 'graphql'
import { useServer } from 'graphql-ws/use/ws'
import { WebSocketServer } from 'ws'
import { encode } from '../lib/event.ts'
import type { Serve } from '../lib/peer.ts'
import { webSocketRequest } from '../lib/requests.ts'
import { flood, type FloodOptions } from '../lib/sources.ts'

const count = { type: new GraphQLNonNull(GraphQLInt) }

const schema = new GraphQLSchema({
  query: new GraphQLObjectType({ name: 'Query', fields: { events: { type: GraphQLInt } } }),
  subscription: new GraphQLObjectType({
    name: 'Subscription',
    fields: {
      flood: {
        type: GraphQLString,
        args: { events: count, bytes: count },
        async *subscribe(_root, options: FloodOptions) {
          for await (const event of flood(options)) yield { flood: encode(event) }
        },
      },
    },
  }),
})

export const serve: Serve = server => {
  useServer({ schema }, new WebSocketServer({ server }))
  return {
    publish() {
      throw new Error('graphql-ws is only asked for floods.')
    },
    opening(_carrier, ask) {
      if (ask.for !== 'flood') throw new Error(`graphql-ws is only asked for floods, not ${ask.for}.`)
      const query = `subscription { flood(events: ${ask.events}, bytes: ${ask.bytes}) }`
      return {
        request: webSocketRequest('/', { 'Sec-WebSocket-Protocol': 'graphql-transport-ws' }),
        hello: [{ say: '{"type":"connection_init"}', hear: 'connection_ack' }],
        subscribe: { say: JSON.stringify({ id: '{id}', type: 'subscribe', payload: { query } }) },
      }
    },
  }
}
