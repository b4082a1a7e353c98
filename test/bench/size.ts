/** What a page loads for its subscriptions: the floor is a client without a link. */
import { fileURLToPath } from 'node:url'
import { bundle } from './lib/bundle.ts'
import type { PeerName } from './lib/peer.ts'
import type { Scenario } from './lib/scenario.ts'

// As a user's bundler finds it: the root's tsconfig would lead to the sources.
const measure = (peer: PeerName) =>
  bundle(fileURLToPath(new URL(`bundles/${peer}.ts`, import.meta.url)), { tsconfigPaths: false })

export default {
  what: 'Bytes in a browser, minified and gzipped',
  rows: [
    {
      name: 'createTRPCClient with our link / with batch, SSE and WS links',
      peers: ['stock', 'sluice', 'floor'],
      measure: async peer => (await measure(peer)).first,
    },
    {
      name: 'the same, and all that is loaded where there is no WebSocket',
      peers: ['stock', 'sluice', 'floor'],
      async measure(peer) {
        const { first, later } = await measure(peer)
        return Object.values(later).reduce((sum, bytes) => sum + bytes, first)
      },
    },
  ],
} satisfies Scenario
