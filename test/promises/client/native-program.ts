/**
 * A program with our client where only what React Native has is to be had, for react-native.test.ts to start. What it
 * meets is printed, a line of JSON each; a message from its parent says that the app has come to the foreground.
 */
import { request } from 'node:http'
import { WebSocket } from 'ws'
import type { SluiceLinkOptions } from '../../../client/options.ts'
import type { Router } from './server.ts'

const absent = [
  'BroadcastChannel',
  'CompressionStream',
  'DecompressionStream',
  'EventSource',
  'ReadableStream',
  'SharedWorker',
  'TransformStream',
  'WritableStream',
  'document',
  'location',
  'navigator',
]
const surroundings = globalThis as Record<string, unknown>
// This is to be had there. Node loads it, and more, when it is first asked for, and needs streams to do so.
const { Headers } = globalThis
for (const name of absent) Reflect.deleteProperty(surroundings, name)
surroundings['WebSocket'] = WebSocket
surroundings['fetch'] = fetchAsAWhole

// Not before the surroundings are as they are to be.
const { createTRPCClient } = await import('@trpc/client')
const { default: superjson } = await import('superjson')
const { sluiceLink } = await import('../../../client/link.ts')

const say = (what: object) => process.send?.(what)
const [url = '', transport] = process.argv.slice(2)
const link = sluiceLink<Router>({
  url,
  transformer: superjson,
  transport: transport as SluiceLinkOptions<Router>['transport'],
  // Long enough for a test to see that it was not this that brought it back.
  retryDelayMs: attempt => (attempt > 3 ? 600_000 : 10),
})
const client = createTRPCClient<Router>({ links: [link] })
link.connection.subscribe(() => say({ state: link.connection.get() }))
process.on('message', what => {
  if (what === 'active') link.connection.wake()
  if (what === 'ask') {
    client.echo.query(new Date(5)).then(
      answer => say({ answer }),
      (error: Error) => say({ failed: String(error.cause ?? error) }),
    )
  }
})
process.on('disconnect', () => process.exit())

if (transport !== 'auto' || process.argv[4] === 'follow') {
  client.onLog.subscribe(undefined, {
    onData: ({ data }) => say({ event: data.n }),
    onError: ({ cause }) => say({ failed: (cause as { code?: string } | undefined)?.code }),
  })
}
say({ absent: absent.filter(name => name in surroundings) })

/** A response without a body: what has come can only be taken when it has come to its end. Node's own needs streams. */
function fetchAsAWhole(url: string, { method, headers, body, signal }: RequestInit): Promise<object> {
  return new Promise((resolve, reject) => {
    const sent = { method, headers: Object.fromEntries(new Headers(headers)), signal: signal ?? undefined }
    const asked = request(url, sent, response => {
      const status = response.statusCode ?? 0
      const whole = async () => {
        response.setEncoding('utf8')
        return (await response.toArray()).join('')
      }
      resolve({
        ok: status >= 200 && status < 300,
        status,
        headers: new Headers(response.headers as Record<string, string>),
        text: whole,
        json: async () => JSON.parse(await whole()) as unknown,
      })
    })
    asked.on('error', reject)
    asked.end(body)
  })
}
