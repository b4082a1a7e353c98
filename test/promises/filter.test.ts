/** Promise 1, beside somebody's mistake: what an application says for one subscriber can fail for that one only. */
import { initTRPC } from '@trpc/server'
import { createTopic, resumable } from 'trpc-sluice/server'
import { createHarness, eventually } from 'trpc-sluice/testing'
import { expect, test } from 'vitest'
import { z } from 'zod'

function createApp() {
  const t = initTRPC.create()
  const hubErrors: Error[] = []
  const topic = createTopic({
    name: 'numbers',
    event: z.object({ n: z.number() }),
    onError: error => void hubErrors.push(error),
  })
  const notTwo = ({ n }: { n: number }) => {
    if (n === 2) throw new Error('I cannot tell.')
    return true
  }
  const router = t.router({
    onNumber: t.procedure
      .input(resumable({ broken: z.boolean() }))
      .subscription(({ input: { lastEventId: after, broken }, signal }) =>
        topic.subscribe('k', { after, from: 'start', signal, ...(broken && { filter: notTwo }) }),
      ),
  })
  const publish = (n: number) => topic.publish('k', { n })
  return { router, hubErrors, publish }
}

test.each(['websocket', 'stream', 'sse'] as const)(
  'a filter that throws ends the subscription that it is of, over %s, and nobody else notices anything',
  async transport => {
    const { router, hubErrors, publish } = createApp()
    const errors: string[] = []
    const onError = ({ error }: { readonly error: Error }) => void errors.push(error.message)
    await using app = await createHarness({ router, transport, sluice: { onError } })
    const record = (broken: boolean) => app.connect().record(client => client.onNumber, { broken })
    const [broken, ...others] = [record(true), record(false), record(false)]
    await publish(1)
    // Who has an event that came after the start has seen everything there was, and is pushed to.
    for (const seen of [broken, ...others]) await seen.until(1)
    await publish(2)
    await publish(3)
    for (const seen of others) await seen.until(3)
    await eventually(() => broken.error !== null)
    expect(broken.error).toMatchObject({ message: 'I cannot tell.' })
    expect(broken.numbers).toEqual([1])

    const late = record(true)
    await eventually(() => late.error !== null)
    expect(late.error).toMatchObject({ message: 'I cannot tell.' })

    await publish(4)
    for (const seen of others) await seen.until(4)
    for (const seen of others) {
      expect(seen.report(4)).toEqual({ delivered: 4, missing: [], repeated: [], outOfOrder: [] })
      expect(seen.error).toBeNull()
    }
    expect(hubErrors).toEqual([])
    expect(errors).toEqual(['I cannot tell.', 'I cannot tell.'])
    // Each of the others asked once: none of them had to come back.
    expect(app.sluice.stats()).toMatchObject({ subscriptions: 2, resumes: { ring: 0, store: 0, missed: 0 } })
  },
)
