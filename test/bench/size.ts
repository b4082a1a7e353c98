/** What a page loads for its subscriptions: the floor is a client without a link. */
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build, type Rolldown } from 'vite'
import type { PeerName } from './lib/peer.ts'
import type { Scenario } from './lib/scenario.ts'

async function measure(peer: PeerName): Promise<number> {
  const input = fileURLToPath(new URL(`bundles/${peer}.ts`, import.meta.url))
  const built = await build({
    configFile: false,
    logLevel: 'warn',
    // As a user's bundler finds it: the root's tsconfig would lead to the sources.
    resolve: { tsconfigPaths: false },
    build: { write: false, rolldownOptions: { input, preserveEntrySignatures: 'strict' } },
  })
  // One entry and no watching give one output.
  const { output } = built as Rolldown.RolldownOutput
  const code = output.map(chunk => (chunk.type === 'chunk' ? chunk.code : '')).join('')
  return gzipSync(code, { level: 9 }).length
}

export default {
  what: 'Bytes in a browser, minified and gzipped',
  rows: [
    {
      name: 'createTRPCClient with our link / with batch, SSE and WS links',
      peers: ['stock', 'sluice', 'floor'],
      measure,
    },
  ],
} satisfies Scenario
