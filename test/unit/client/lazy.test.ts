import { createFakeClock } from 'trpc-sluice/testing'
import { expect, test } from 'vitest'
import { resolveOptions } from '../../../client/options.ts'
import { openLazily, type CreateTransport } from '../../../client/transports/lazy.ts'
import type {
  AskedSubscription,
  Loss,
  Transport,
  TransportReports,
} from '../../../client/transports/transport.ts'

const asked = (id: number) => ({ id, path: 'onRoom' }) as AskedSubscription // the rest is passed on unread

/** A transport whose code comes when the test says so. */
function create() {
  const clock = createFakeClock()
  const told: string[] = []
  const losses: Loss[] = []
  const reports: TransportReports = {
    opened: () => told.push('opened'),
    heard: () => told.push('heard'),
    received: message => told.push(message.type),
    interrupted: () => told.push('interrupted'),
    lost: loss => losses.push(loss),
    replaced: () => {},
  }
  let come: (code: { open: CreateTransport }) => void = () => {}
  let fail: (error: Error) => void = () => {}
  const code = new Promise<{ open: CreateTransport }>((resolve, reject) => {
    come = resolve
    fail = reject
  })
  const options = resolveOptions({ url: 'http://a', clock, connectTimeoutMs: 1_000 })
  const transport: Transport = openLazily('stream', code, options, reports, () => transport)
  /** The code comes, and makes a transport that writes down what it is told. */
  const load = async () => {
    const open: CreateTransport = (_, inner) => {
      inner.opened()
      return {
        kind: 'stream',
        request: null,
        subscribe: ({ id }) => told.push(`subscribe ${id}`),
        unsubscribe: id => told.push(`unsubscribe ${id}`),
        probe: hint => told.push(`probe ${hint}`),
        close: () => told.push('close'),
      }
    }
    come({ open })
    await code
  }
  return { clock, transport, load, fail, told, losses }
}

test('what is asked for and taken back while its code is loaded is so when it has come', async () => {
  const { clock, transport, load, told, losses } = create()
  transport.subscribe(asked(1))
  transport.subscribe(asked(2))
  transport.unsubscribe(1)
  await load()
  transport.subscribe(asked(3))
  transport.unsubscribe(2)
  await clock.advance(5_000)
  transport.probe('visible', 2_000)
  transport.close()
  expect(told).toEqual([
    'opened',
    'subscribe 1',
    'subscribe 2',
    'unsubscribe 1',
    'subscribe 3',
    'unsubscribe 2',
    'probe visible',
    'close',
  ])
  expect(losses).toEqual([])
})

test('code that cannot be loaded is a lost attempt, which is made again', async () => {
  const { transport, fail, losses } = create()
  transport.subscribe(asked(1))
  fail(new TypeError('Failed to fetch dynamically imported module'))
  await expect.poll(() => losses.length).toBe(1)
  expect(losses[0]).toMatchObject({ why: { code: 'CONNECTION_LOST' } })
  expect(losses[0]?.why.message).toContain('"stream" could not be loaded: Failed to fetch')
})

test('code that does not come in time is a lost attempt, too, and is not used when it comes late', async () => {
  const { clock, load, told, losses } = create()
  await clock.advance(1_000)
  expect(losses.map(({ final, why }) => [final, why.code])).toEqual([[undefined, 'CONNECTION_LOST']])
  await load()
  expect([told, losses.length]).toEqual([[], 1])
})

test('closed while its code is loaded, it never opens', async () => {
  const { clock, transport, load, told, losses } = create()
  transport.close()
  await load()
  await clock.advance(5_000)
  expect([told, losses]).toEqual([[], []])
})
