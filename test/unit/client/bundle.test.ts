import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, test } from 'vitest'
import { bundle, type Bundle } from '../../bench/lib/bundle.ts'

const root = new URL('../../../', import.meta.url)
const fromRoot = (path: string) => fileURLToPath(new URL(path, root))
const bundleOf = (path: string) =>
  bundle(fromRoot(path), { alias: { 'trpc-sluice/client': fromRoot('client/index.ts') } })

describe('what a page loads', () => {
  let ours: Bundle
  let bare: Bundle
  let stock: Bundle

  beforeAll(async () => {
    ours = await bundleOf('test/bench/bundles/sluice.ts')
    bare = await bundleOf('test/bench/bundles/floor.ts')
    stock = await bundleOf('test/bench/bundles/stock.ts')
    console.log(
      [
        'minified and gzipped, in bytes:',
        `createTRPCClient alone ${bare.first}; with tRPC's split of batch, SSE and WebSocket links ${stock.first}`,
        `with sluiceLink ${ours.first}, and when they are needed ${JSON.stringify(ours.later)}`,
      ].join('\n'),
    )
  }, 30_000)

  // What is reached, and little more: who adds to it is to know by how much.
  test('for the link over a WebSocket, and for the stream where there is none, does not grow unnoticed', () => {
    expect(ours.first).toBeLessThan(11_140)
    expect(ours.first - bare.first).toBeLessThan(7_350)
    expect(ours.later['stream']).toBeLessThan(5_925)
    expect(ours.later['sse']).toBeLessThan(4_040)
    expect(ours.later['http-requests']).toBeLessThan(1_930)
  })

  test('for lesser transports, for requests over HTTP, and for what only Node tells comes when it is needed', () => {
    expect(Object.keys(ours.later).toSorted()).toEqual(['http-requests', 'refused-upgrade', 'sse', 'stream'])
  })

  test('is nothing of codecs, of the outbox, of other tabs, of a server, or of Node', () => {
    expect(ours.modules.some(id => id.endsWith('client/link.ts'))).toBe(true)
    const foreign = /msgpack|protobuf|outbox|idb|client\/tabs|\/server\/[a-z]+\/|browser-external|eventsource/
    // Wherever the house stands: a folder above it may be called anything.
    const files = ours.modules.map(id => id.replace(fromRoot('.'), '/'))
    expect(files.filter(id => foreign.test(id.replace('node_modules/@trpc/server', '@trpc')))).toEqual([])
  })
})
