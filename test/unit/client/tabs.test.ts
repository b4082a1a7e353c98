import { TRPCClientError } from '@trpc/client'
import superjson from 'superjson'
import { describe, expect, test } from 'vitest'
import { createLadder } from '../../../client/connection/ladder.ts'
import { Packer, type Relayable } from '../../../client/tabs/parcel.ts'
import { Relayed } from '../../../client/tabs/relayed.ts'
import { msgpackCodec } from '../../../shared/codec/msgpack.ts'
import { SluiceError } from '../../../shared/errors.ts'
import { toCredit } from '../../../shared/protocol/credit.ts'

const transformer = { input: superjson, output: superjson }
const settled = () => new Promise(resolve => setImmediate(resolve))

describe('what goes from tab to tab', () => {
  /** As it is after a channel between tabs. */
  const cross = (message: Relayable, codec?: ReturnType<typeof msgpackCodec>) => {
    const packer = new Packer({ codec, transformer })
    return packer.unpack(structuredClone(packer.pack(message)))
  }

  test.each([
    ['a transformer', undefined],
    ['a codec', msgpackCodec()],
  ])('arrives as it was sent, with %s', (_, codec) => {
    const data = {
      id: '7',
      data: { at: new Date(7), left: new Set([1]), bytes: new Uint8Array([1, 2]), none: undefined },
    }
    const message: Relayable = { type: 'data', id: 1, eventId: '7', data, size: 40 }
    expect(cross(message, codec)).toEqual(message)
  })

  test('keeps what an error says: its code, its shape, and what the link itself knows of it', () => {
    const shape = { code: -32_603, message: 'No', data: { code: 'INTERNAL_SERVER_ERROR', at: new Date(7) } }
    const theirs = cross({ type: 'error', id: 1, error: TRPCClientError.from({ error: shape }) })
    expect(theirs).toMatchObject({ error: { message: 'No', shape, data: shape.data } })

    const unknown = new SluiceError('OUTCOME_UNKNOWN', 'It may have run.')
    const ours = cross({ type: 'error', id: 1, error: TRPCClientError.from(unknown) })
    expect(ours).toMatchObject({ error: { message: 'It may have run.', cause: { code: 'OUTCOME_UNKNOWN' } } })
  })
})

describe('a subscription that is relayed', () => {
  const start = (events: number) => {
    const sent: Relayable[] = []
    const relayed = new Relayed(1, toCredit(events, 1024 * 1024), message => sent.push(message))
    const observer = relayed.observerOf(() => 'here')
    relayed.flow.heed() // as by a server that counts
    return {
      relayed,
      observer,
      types: () => sent.map(({ type }) => type),
      next: (n: number, bytes = 1) =>
        relayed.flow.receive(bytes, () =>
          observer.next({ result: { type: 'data', id: String(n), data: n } }),
        ),
    }
  }

  test('sends no more events than the window has room for, and goes on as they are taken', async () => {
    const { relayed, types, next } = start(3)
    for (let n = 1; n <= 10; n++) next(n)
    await settled()
    expect(types()).toHaveLength(3)
    expect(relayed.flow.full).toBe(true)
    relayed.taken(2)
    await settled()
    expect(types()).toHaveLength(5)
    relayed.taken(3)
    await settled()
    expect(types()).toHaveLength(8)
  })

  test('sends no more bytes than that, and yet an event that is larger than all of it', async () => {
    const { relayed, types, next } = start(100)
    next(1, 2 * 1024 * 1024)
    next(2)
    await settled()
    expect(types()).toEqual(['data'])
    relayed.taken(1)
    await settled()
    expect(types()).toEqual(['data', 'data'])
  })

  test('says how it ended after what came before, and nothing once its tab has left', async () => {
    const ended = start(3)
    ended.observer.next({ result: { type: 'started' } })
    ended.next(1)
    ended.observer.complete()
    await settled()
    expect(ended.types()).toEqual(['started', 'data', 'stopped'])

    const failed = start(3)
    failed.next(1)
    failed.observer.error(new TRPCClientError('No'))
    await settled()
    expect(failed.types()).toEqual(['data', 'error'])

    const left = start(1)
    left.next(1)
    left.next(2)
    await settled()
    left.relayed.close()
    left.relayed.taken(1)
    await settled()
    expect(left.types()).toEqual(['data'])
  })
})

test('what becomes of the connection of another tab says nothing of the transports that this one might use', () => {
  const ladder = createLadder(['websocket', 'stream', 'sse'])
  ladder.worked('tab')
  for (let rides = 0; rides < 10; rides++) ladder.lost('tab', false, {})
  expect(ladder.choose()).toBe('websocket')
})
