import { describe, expect, test } from 'vitest'
import { createCounters } from '../../server/observe/counters.ts'
import { Outlet } from '../../server/session/outlet.ts'
import type { Frame, Wire } from '../../server/session/wire.ts'

/** A network in the hand of the test. */
function createWire() {
  const queue: { bytes: number; gone?: () => void }[] = []
  const sent: Frame[] = []
  let writes = 0
  const wire: Wire = {
    packing: { pack: frame => frame, packAll: frames => frames },
    write(packed, gone) {
      writes += 1
      sent.push(...packed)
      queue.push({ bytes: packed.reduce((sum, piece) => sum + piece.length, 0), gone })
    },
    get bufferedBytes() {
      return queue.reduce((sum, { bytes }) => sum + bytes, 0)
    },
    takenBytes: 0,
  }
  const take = (frames: number) => queue.splice(0, frames).forEach(({ gone }) => gone?.())
  return { wire, sent, take, writes: () => writes, callbacks: () => queue.filter(({ gone }) => gone).length }
}

const turn = () => new Promise(resolve => setImmediate(resolve))

async function isOpen(room: Promise<void>): Promise<boolean> {
  return Promise.race([room.then(() => true), turn().then(() => false)])
}

describe('outlet', () => {
  test('there is room while the network takes what is sent', () => {
    const { wire, take, callbacks } = createWire()
    const outlet = new Outlet(wire, 1_000, createCounters())
    for (let i = 0; i < 10; i++) {
      outlet.send('x'.repeat(100))
      outlet.flush()
      expect(outlet.room).toBeNull()
      expect(callbacks()).toBe(0)
      take(1)
    }
  })

  test('above the mark there is none, until the network has taken the last frame that passed it', async () => {
    const { wire, take } = createWire()
    const outlet = new Outlet(wire, 1_000, createCounters())
    outlet.send('x'.repeat(900))
    outlet.flush()
    expect(outlet.room).toBeNull()
    outlet.send('x'.repeat(200))
    outlet.flush()
    const { room } = outlet
    expect(room).not.toBeNull()
    expect(outlet.room).toBe(room)
    take(1)
    expect(await isOpen(room as Promise<void>)).toBe(false)
    take(1)
    expect(await isOpen(room as Promise<void>)).toBe(true)
    expect(outlet.room).toBeNull()
  })

  test('a frame larger than the mark passes, alone', () => {
    const { wire, take } = createWire()
    const outlet = new Outlet(wire, 1_000, createCounters())
    outlet.send('x'.repeat(5_000))
    expect(outlet.room).not.toBeNull()
    outlet.flush()
    expect(outlet.room).not.toBeNull()
    take(1)
    expect(outlet.room).toBeNull()
  })

  test('who sends much in one turn of the event loop waits for the next', async () => {
    const { wire, take } = createWire()
    const outlet = new Outlet(wire, 1_000_000, createCounters())
    let frames = 0
    while (!outlet.room) {
      outlet.send('x'.repeat(1_000))
      take(1)
      frames += 1
    }
    expect(frames).toBe(17)
    await turn()
    expect(outlet.room).toBeNull()
  })

  test('closing lets all go on, and nobody waits any more', async () => {
    const { wire } = createWire()
    const outlet = new Outlet(wire, 100, createCounters())
    outlet.send('x'.repeat(200))
    const { room } = outlet
    outlet.close()
    await room
    outlet.send('x'.repeat(200))
    expect(outlet.room).toBeNull()
  })

  test('bytes are counted as they are encoded', () => {
    const { wire } = createWire()
    const counters = createCounters()
    const outlet = new Outlet(wire, 100, counters)
    outlet.send('é')
    outlet.send(new Uint8Array(3))
    outlet.flush()
    expect(counters.bytesOut).toBe(5)
  })

  test('what becomes ready in one turn goes out in one write, in order, and a lone event by itself', async () => {
    const { wire, sent, writes } = createWire()
    const outlet = new Outlet(wire, 1_000_000, createCounters())
    for (const frame of ['a', 'b', 'c']) outlet.send(frame)
    await Promise.resolve().then(() => outlet.send('d')) // later, in the same turn
    expect(writes()).toBe(0)
    await turn()
    expect(sent).toEqual(['a', 'b', 'c', 'd'])
    expect(writes()).toBe(1)
    outlet.send('e')
    await turn()
    expect(writes()).toBe(2)
  })

  test('messages of one turn are packed together where that is agreed on, in order with all else, 64 at a time', async () => {
    const { wire, sent, writes } = createWire()
    const packing = { ...wire.packing, together: true, packAll: (all: readonly Frame[]) => [all.join('+')] }
    const outlet = new Outlet({ ...wire, packing, bufferedBytes: 0 }, 1_000, createCounters())
    outlet.sendMessage('a')
    outlet.sendMessage('b')
    expect(outlet.bufferedBytes).toBe(2)
    outlet.send('PING')
    outlet.sendMessage('c')
    await turn()
    expect([sent, writes()]).toEqual([['a+b', 'PING', 'c'], 1])
    sent.length = 0
    for (let n = 0; n < 65; n++) outlet.sendMessage('d')
    outlet.close()
    expect(sent.map(String).map(({ length }) => length)).toEqual([127, 1])
  })

  test('one write has a bound, however much becomes ready', () => {
    const { wire, sent } = createWire()
    const outlet = new Outlet(wire, 1_000_000, createCounters())
    for (let i = 0; i < 3; i++) outlet.send('x'.repeat(40_000))
    expect(sent).toHaveLength(2)
  })

  test('what is written at once, for its size, is the share of this turn all the same', async () => {
    const { wire, take, writes } = createWire()
    const outlet = new Outlet(wire, 1_000_000, createCounters())
    outlet.send('x'.repeat(100_000))
    expect(writes()).toBe(1)
    take(1)
    expect(outlet.room).not.toBeNull()
    await turn()
    expect(outlet.room).toBeNull()
  })

  test.each([
    // Above the mark only with what lies there as yet, and then with its framing.
    { written: 'at the end of the turn', bytes: 99, before: 1 },
    { written: 'at once', bytes: 99_999, before: 0 },
  ])('nobody waits for ever for a network that counts framing, too: $written', async ({ bytes, before }) => {
    const { wire, take } = createWire()
    const framed: Wire = {
      packing: wire.packing,
      write: (packed, gone) => wire.write([...packed, '\r\n'], gone),
      get bufferedBytes() {
        return wire.bufferedBytes
      },
      takenBytes: 0,
    }
    const outlet = new Outlet(framed, bytes + 1, createCounters())
    if (before) outlet.send('x'.repeat(before))
    outlet.flush()
    outlet.send('x'.repeat(bytes))
    take(before)
    await turn()
    take(1)
    expect(outlet.room).toBeNull()
  })

  test('what was gathered goes out before the connection is let go, and nothing after', () => {
    const { wire, sent } = createWire()
    const outlet = new Outlet(wire, 1_000, createCounters())
    outlet.send('last words')
    outlet.close()
    outlet.send('too late')
    expect(sent).toEqual(['last words'])
  })
})
