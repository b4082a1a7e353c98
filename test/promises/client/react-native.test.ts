/**
 * React Native has a WebSocket, and a fetch whose responses have no body to read as it comes; no EventSource, no
 * streams, no page, no locks. The client runs in a process of its own from which all that has been taken.
 */
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { createFaultProxy, eventually } from 'trpc-sluice/testing'
import { expect, test } from 'vitest'
import type { ConnectionState } from '../../../client/connection/machine.ts'
import { startServer } from './server.ts'

interface Said {
  readonly absent?: readonly string[]
  readonly state?: ConnectionState
  readonly event?: number
  readonly answer?: unknown
  readonly failed?: string
}

function startNative(...args: readonly string[]) {
  const path = fileURLToPath(new URL('native-program.ts', import.meta.url))
  const child = fork(path, args, { execArgv: ['--import', 'tsx'], serialization: 'advanced' })
  const said: Said[] = []
  child.on('message', what => said.push(what as Said)) // its own words
  return {
    said,
    tell: (what: 'active' | 'ask') => void child.send(what),
    events: () => said.flatMap(({ event }) => event ?? []),
    at: () => said.findLast(({ state }) => state)?.state?.at,
    /** Which transports were tried. */
    tried: () => new Set(said.flatMap(({ state }) => (state && 'transport' in state ? state.transport : []))),
    [Symbol.dispose]: () => void child.kill('SIGKILL'),
  }
}

test('it follows over its WebSocket, comes back after a cut, and needs nothing that is not there', async () => {
  await using server = await startServer('Sluice')
  await using proxy = await createFaultProxy({ target: server.url })
  using native = startNative(proxy.httpUrl, 'auto', 'follow')
  server.log.publish(1, 2)
  await eventually(() => native.events().length === 2)
  await proxy.cut()
  server.log.publish(3)
  await eventually(() => native.events().length === 3)
  native.tell('ask')
  await eventually(() => native.said.some(({ answer }) => answer instanceof Date))
  expect(native.events()).toEqual([1, 2, 3])
  expect([...native.tried()]).toEqual(['websocket'])
  expect(native.said.find(({ absent }) => absent)?.absent).toEqual([])
})

test('brought to the foreground, it comes back at once and not when its time to wait is over', async () => {
  await using server = await startServer('Sluice')
  using native = startNative(server.url, 'websocket')
  server.log.publish(1)
  await eventually(() => native.events().length === 1)
  await server.stop()
  // From the fourth failure on it waits for ten minutes.
  await eventually(() => {
    const { state } = native.said.findLast(one => one.state) ?? {}
    return state?.at === 'waiting' && state.attempt > 3
  })
  await server.start()
  server.log.publish(2)
  native.tell('active')
  await eventually(() => native.events().length === 2)
})

test.each(['stream', 'sse'] as const)(
  'over %s it is told that there is no such thing there',
  async transport => {
    await using server = await startServer('Sluice')
    using native = startNative(server.url, transport)
    await eventually(() => native.said.some(({ failed }) => failed !== undefined))
    expect(native.said.findLast(({ failed }) => failed)?.failed).toBe('TRANSPORT_UNAVAILABLE')
    native.tell('ask') // queries are plain HTTP there
    await eventually(() => native.said.some(({ answer }) => answer instanceof Date))
  },
)

test('where WebSockets are forbidden its queries go over HTTP', async () => {
  await using server = await startServer('Sluice')
  await using proxy = await createFaultProxy({ target: server.url })
  proxy.refuseUpgrades()
  using native = startNative(proxy.httpUrl, 'auto')
  await eventually(() => native.said.length > 0)
  native.tell('ask')
  await eventually(() => native.said.some(({ answer }) => answer instanceof Date))
})

test('where they are forbidden for a while, a subscription waits for its WebSocket, and loses nothing', async () => {
  await using server = await startServer('Sluice')
  await using proxy = await createFaultProxy({ target: server.url })
  proxy.refuseUpgrades()
  using native = startNative(proxy.httpUrl, 'auto', 'follow')
  server.log.publish(1, 2)
  // What cannot be had there is tried once.
  await eventually(() => native.tried().size === 3)
  proxy.allowUpgrades()
  await eventually(() => {
    native.tell('active') // each may come during an attempt that was refused
    return native.events().length === 2
  })
  expect(native.said.filter(({ failed }) => failed)).toEqual([])
})
