import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { Scope } from '../../shared/scope.ts'
import { eventually } from '../kit/deadline.ts'
import { createFaultProxy } from '../kit/fault-proxy.ts'
import type { FaultProxy } from '../kit/fault-proxy.ts'

/** A server, a proxy before it, and what each end has heard. */
async function createRig(scope: Scope) {
  const peers: End[] = []
  const port = await listen(
    scope,
    createServer({ allowHalfOpen: true }, socket => peers.push(new End(socket))),
  )
  const proxy = scope.use(await createFaultProxy({ target: { port } }))
  const open = async () => {
    const socket = connect({ port: proxy.port, host: '127.0.0.1', allowHalfOpen: true })
    scope.defer(() => void socket.destroy())
    const client = new End(socket)
    const count = peers.length
    await eventually(() => peers.length > count, { what: 'the connection to arrive' })
    return { client, server: peers[count] as End } // it has just arrived
  }
  return { proxy, open, peers }
}

class End {
  readonly chunks: Buffer[] = []
  size = 0
  how: 'open' | 'fin' | 'rst' = 'open'
  constructor(readonly socket: Socket) {
    socket.on('data', chunk => {
      this.chunks.push(chunk)
      this.size += chunk.length
    })
    socket.on('end', () => (this.how = 'fin'))
    socket.on('error', () => (this.how = 'rst'))
  }
  get text() {
    return Buffer.concat(this.chunks).toString()
  }
  async hears(text: string) {
    await eventually(() => this.text === text, { what: () => `${text}, heard ${this.text}` })
  }
  async ends(how: 'fin' | 'rst') {
    await eventually(() => this.how === how, { what: () => `${how}, is ${this.how}` })
  }
}

async function listen(scope: Scope, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const sockets = new Set<Socket>()
  server.on('connection', socket => sockets.add(socket))
  scope.defer(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return (server.address() as AddressInfo).port // listening on TCP
}

/** A round trip through an open connection: what was sent before it has arrived. */
async function exchange({ client, server }: { client: End; server: End }, up: string, down: string) {
  const before = [server.text, client.text]
  client.socket.write(up)
  server.socket.write(down)
  await server.hears(before[0] + up)
  await client.hears(before[1] + down)
}

test('without a fault, bytes and ends pass as they are', async () => {
  await using scope = new Scope()
  const { proxy, open } = await createRig(scope)
  const pair = await open()
  await exchange(pair, 'hello', 'world')
  expect(proxy.connections).toBe(1)
  pair.client.socket.end()
  await pair.server.ends('fin')
  pair.server.socket.end('late words') // half-open: the other direction still works
  await pair.client.hears('worldlate words')
  await pair.client.ends('fin')
  await eventually(() => proxy.connections === 0)
  expect(proxy.accepted).toBe(1)
})

test.each(['rst', 'fin'] as const)('cut by %s reaches both ends', async how => {
  await using scope = new Scope()
  const { proxy, open } = await createRig(scope)
  const pair = await open()
  await exchange(pair, 'a', 'b')
  await proxy.cut({ how })
  await pair.client.ends(how)
  await pair.server.ends(how)
  if (how === 'rst') expect(proxy.connections).toBe(0)
  await exchange(await open(), 'again', 'welcome')
})

test('a reset at one end is a reset at the other', async () => {
  await using scope = new Scope()
  const { open } = await createRig(scope)
  const pair = await open()
  await exchange(pair, 'a', 'b')
  pair.client.socket.resetAndDestroy()
  await pair.server.ends('rst')
})

test('a cut in mid-frame lets a part of the next chunk pass', async () => {
  await using scope = new Scope()
  const { proxy, open } = await createRig(scope)
  const pair = await open()
  await exchange(pair, 'a', 'b')
  const cut = proxy.cut({ midFrame: true })
  pair.client.socket.write('still passing')
  await pair.server.hears('astill passing')
  pair.server.socket.write('0123456789')
  await cut
  // Data and reset that are read in one go look like a polite end to libuv; on the server's side nothing was pending.
  await eventually(() => pair.client.how !== 'open')
  await pair.server.ends('rst')
  expect(pair.client.text).toBe('b01234')
})

test('what was cut politely, and whose peers linger, can be cut again', async () => {
  await using scope = new Scope()
  const { proxy, open } = await createRig(scope)
  const pair = await open()
  await exchange(pair, 'a', 'b')
  await proxy.cut({ how: 'fin' })
  await pair.client.ends('fin') // and keeps its own half open
  await proxy.cut({ how: 'fin' })
  expect(proxy.connections).toBe(1)
})

test('a cut in mid-frame that waits for its chunk is undone by healing, and one that has it is not', async () => {
  await using scope = new Scope()
  const { proxy, open } = await createRig(scope)
  const [spared, cut] = [await open(), await open()]
  await exchange(spared, 'a', 'b')
  await exchange(cut, 'a', 'b')
  const all = Promise.all([proxy.cut({ midFrame: true }), proxy.cut({ midFrame: true })])
  cut.server.socket.write('0123456789')
  await eventually(() => cut.client.how !== 'open')
  proxy.heal()
  await all
  await exchange(spared, 'c', 'd')
  expect(spared.client.text).toBe('bd')
  expect(cut.client.text).toBe('b01234')
})

test('nothing passes behind the half of a chunk that a cut has let pass, whatever is undone meanwhile', async () => {
  await using scope = new Scope()
  const { proxy, open } = await createRig(scope)
  const pair = await open()
  proxy.slow({ bytesPerSecond: 400 }) // 8 bytes at a time
  pair.server.socket.write('abcdefgh'.repeat(10))
  await pair.client.hears('abcdefgh')
  const cut = proxy.cut({ how: 'fin', midFrame: true })
  proxy.resume() // the next 8 come at once
  proxy.heal()
  await cut
  await pair.client.ends('fin')
  expect(pair.client.text).toBe('abcdefghabcd')
})

test('stalled, nothing passes in either direction, and not even the end of a peer is known', async () => {
  await using scope = new Scope()
  const { proxy, open } = await createRig(scope)
  const [quiet, doomed] = [await open(), await open()]
  await exchange(quiet, 'a', 'b')
  await exchange(doomed, 'a', 'b')
  proxy.stall()
  quiet.client.socket.write('up')
  quiet.server.socket.write('down')
  doomed.client.socket.resetAndDestroy()
  const late = connect(proxy.port, '127.0.0.1')
  scope.defer(() => void late.destroy())
  late.write('hello?')
  await eventually(() => proxy.connections === 3)
  expect([quiet.server.text, quiet.client.text, doomed.server.how]).toEqual(['a', 'b', 'open'])
  proxy.resume()
  await quiet.server.hears('aup')
  await quiet.client.hears('bdown')
  await doomed.server.ends('rst')
})

test('a reader that stops holds up the writer through the proxy', async () => {
  await using scope = new Scope()
  const { open } = await createRig(scope)
  const pair = await open()
  await exchange(pair, 'a', 'b')
  pair.client.socket.pause()
  const chunk = Buffer.alloc(1 << 20)
  let sent = 0
  const write = () => {
    while (sent < 128 && pair.server.socket.write(chunk)) sent += 1
  }
  pair.server.socket.on('drain', write)
  write()
  const held = await heldAt(() => sent)
  expect(held).toBeLessThan(64) // what kernel buffers take, on both connections
  pair.client.socket.resume()
  await eventually(() => sent === 128, { withinMs: 30_000 })
})

/** The value once it has stood still for 100 ms. */
async function heldAt(read: () => number): Promise<number> {
  for (let last = -1; last !== read();) {
    last = read()
    await new Promise(resolve => setTimeout(resolve, 100))
  }
  return read()
}

test('slow passes everything, at the pace given, until it is healed', async () => {
  await using scope = new Scope()
  const { proxy, open } = await createRig(scope)
  const pair = await open()
  proxy.slow({ bytesPerSecond: 10_000 })
  const started = performance.now()
  pair.server.socket.write(Buffer.alloc(2_000))
  await eventually(() => pair.client.size === 2_000)
  expect(performance.now() - started).toBeGreaterThan(150)
  pair.server.socket.write(Buffer.alloc(1_000_000))
  proxy.heal()
  await eventually(() => pair.client.size === 1_002_000)
  expect(() => proxy.slow({ bytesPerSecond: 0 })).toThrow('bytesPerSecond is 0')
})

test('slice cuts what passes into small segments and loses nothing', async () => {
  await using scope = new Scope()
  const { proxy, open } = await createRig(scope)
  const pair = await open()
  proxy.slice({ maxBytes: 3 })
  const text = 'the quick brown fox jumps over the lazy dog'
  pair.server.socket.write(text)
  await pair.client.hears(text)
  expect(pair.client.chunks.length).toBeGreaterThan(5)
})

test('refuse resets new connections and leaves those present alone', async () => {
  await using scope = new Scope()
  const { proxy, open, peers } = await createRig(scope)
  const pair = await open()
  proxy.refuse()
  const refused = new End(connect(proxy.port, '127.0.0.1'))
  await refused.ends('rst')
  await exchange(pair, 'a', 'b')
  expect(peers.length).toBe(1)
  proxy.accept()
  await exchange(await open(), 'a', 'b')
})

test('retarget sends new connections to where the server is now', async () => {
  await using scope = new Scope()
  const { proxy } = await createRig(scope)
  const port = await listen(
    scope,
    createServer(socket => socket.end('new')),
  )
  proxy.retarget(port)
  await new End(connect(proxy.port, '127.0.0.1')).hears('new')
})

test('a server that is not there is a reset', async () => {
  await using proxy = await createFaultProxy({ target: { port: 1 } })
  await new End(connect(proxy.port, '127.0.0.1')).ends('rst')
  await eventually(() => proxy.connections === 0)
})

test('refused upgrades get their answer while plain HTTP passes', async () => {
  await using scope = new Scope()
  const server = createHttpServer((_, response) => response.end('plain'))
  const sockets = new WebSocketServer({ server })
  scope.defer(() => sockets.close())
  const port = await listen(scope, server)
  await using proxy = await createFaultProxy({ target: `http://127.0.0.1:${port}/ignored` })

  expect(await tryUpgrade(proxy)).toBe('open')
  proxy.refuseUpgrades({ answer: 426 })
  expect(await tryUpgrade(proxy)).toBe('Unexpected server response: 426')
  proxy.refuseUpgrades({ answer: 'drop' })
  expect(await tryUpgrade(proxy)).toMatch(/ECONNRESET|socket hang up/)
  proxy.refuseUpgrades({ answer: 'silence' })
  const silent = tryUpgrade(proxy)
  const response = await fetch(proxy.url('/any'))
  expect(await response.text()).toBe('plain')
  await proxy.cut()
  expect(await silent).toMatch(/ECONNRESET|socket hang up/)
  proxy.allowUpgrades()
  expect(await tryUpgrade(proxy)).toBe('open')
})

function tryUpgrade(proxy: FaultProxy): Promise<string> {
  const socket = new WebSocket(proxy.wsUrl)
  return new Promise(resolve => {
    socket.on('open', () => {
      socket.terminate()
      resolve('open')
    })
    socket.on('error', error => resolve(error.message))
  })
}

test('closing ends every connection, whatever the fault, and may be done twice', async () => {
  await using scope = new Scope()
  const { proxy, open } = await createRig(scope)
  const pair = await open()
  proxy.slow({ bytesPerSecond: 1 })
  pair.server.socket.write('a long story')
  proxy.stall()
  const cut = proxy.cut({ midFrame: true })
  await Promise.all([proxy.close(), proxy.close()])
  await cut
  await pair.client.ends('rst')
  await pair.server.ends('rst')
  expect(proxy.connections).toBe(0)
})
