import { expect, test } from 'vitest'
import { Inbox } from '../../../client/subscriptions/inbox.ts'

const take = async <T>(inbox: Inbox<T>) => (await inbox.next()).value

test('hands items over in order, to readers who came first and to those who come later', async () => {
  const inbox = new Inbox<number>(10)
  const early = [inbox.next(), inbox.next()]
  for (const n of [1, 2, 3]) inbox.push(n)
  expect((await Promise.all(early)).map(result => result.value)).toEqual([1, 2])
  expect(await take(inbox)).toBe(3)
})

test('fails at its bound, after what it holds has been taken', async () => {
  const inbox = new Inbox<number>(2)
  expect([1, 2, 3].map(n => inbox.push(n))).toEqual([true, true, false])
  expect([await take(inbox), await take(inbox)]).toEqual([1, 2])
  await expect(inbox.next()).rejects.toMatchObject({ code: 'CONSUMER_TOO_SLOW', data: { maxBuffered: 2 } })
  expect(await inbox.next()).toEqual({ done: true, value: undefined })
})

test('where the carrier heeds it, it waits instead, and says when there is room', async () => {
  const inbox = new Inbox<number>(2)
  inbox.heeded = true
  for (const n of [1, 2, 3]) inbox.push(n)
  expect(inbox.full).toBe(true)
  let room = false
  const waiting = inbox.whenRoom().then(() => (room = true))
  await take(inbox)
  expect(room).toBe(false) // one was too many
  await take(inbox)
  await waiting
  expect(inbox.full).toBe(false)
})

test('lets the carrier go when the consumer leaves', async () => {
  const inbox = new Inbox<number>(1)
  inbox.heeded = true
  inbox.push(1)
  const waiting = inbox.whenRoom()
  inbox.discard()
  await waiting
  expect(await inbox.next()).toEqual({ done: true, value: undefined })
})

test('ends all who wait, with the error told once', async () => {
  const inbox = new Inbox<number>(1)
  const [first, second] = [inbox.next(), inbox.next()]
  inbox.end(new Error('over'))
  await expect(first).rejects.toThrow('over')
  expect(await second).toEqual({ done: true, value: undefined })
})

test('refuses a bound that would hold nothing', () => {
  expect(() => new Inbox(0)).toThrow(RangeError)
})
