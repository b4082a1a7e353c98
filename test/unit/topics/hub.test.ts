import { createTopic } from '../../../server/topics/topic.ts'
import type { Batch } from '../../../server/topics/batch.ts'
import { feedOf } from '../../../server/topics/sink.ts'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { eventually } from '../../kit/deadline.ts'

test('those who come back to one place are sent the same batches, up to what came last', async () => {
  const topic = createTopic({ name: 'numbers', event: z.number() })
  const gone = new AbortController()
  const { signal } = gone
  const come = (after?: string, capacity?: number) => {
    const batches: Batch<unknown>[] = []
    const ended = new Promise(resolve =>
      feedOf(topic.subscribe('k', { after, signal }))?.({
        push: batch => void batches.push(batch),
        room: null,
        ...(capacity !== undefined && { capacity }),
        ended: resolve,
      }),
    )
    const seen = () => batches.flatMap(({ envelopes }) => envelopes.map(([, n]) => n))
    return { batches, ended, seen }
  }
  const all: number[] = []
  const publish = async (count: number) => {
    for (let n = 0; n < count; n++) await topic.publish('k', (all[all.length] = all.length + 1))
  }

  const live = come()
  const { id: after } = await topic.publish('k', 0)
  await publish(100)
  await eventually(() => expect(live.seen()).toEqual([0, ...all]))

  const [first, slow, second] = [come(after), come(after, 10), come(after)]
  const back = [first, slow, second]
  await eventually(() => expect(back.map(one => one.seen())).toEqual([all, all, all]))
  expect(first.batches).toHaveLength(2)
  expect(second.batches[0]).toBe(first.batches[0])
  expect(second.batches[1]).toBe(first.batches[1])

  await publish(10)
  const third = come(after)
  back.push(third)
  await eventually(() => expect(back.map(one => one.seen())).toEqual([all, all, all, all]))
  expect(third.batches[0]).toBe(first.batches[0])

  gone.abort()
  await Promise.all([live, ...back].map(({ ended }) => ended))
})
