import { expect, test } from 'vitest'
import { Inbox } from '../../../client/subscriptions/inbox.ts'

const take = async <T>(inbox: Inbox<T>) => (await inbox.next()).value

test('hands items over in order, to readers who came first and to those who come later', async () => {
  const inbox = new Inbox<number>({ maxItems: 10, maxBytes: 1_000 })
  const early = [inbox.next(), inbox.next()]
  for (const n of [1, 2, 3]) inbox.push(n)
  expect((await Promise.all(early)).map(result => result.value)).toEqual([1, 2])
  expect(await take(inbox)).toBe(3)
})

test('fails at its bound, after what it holds has been taken', async () => {
  const inbox = new Inbox<number>({ maxItems: 2, maxBytes: 1_000 })
  expect([1, 2, 3].map(n => inbox.push(n))).toEqual([true, true, false])
  expect([await take(inbox), await take(inbox)]).toEqual([1, 2])
  await expect(inbox.next()).rejects.toMatchObject({ code: 'CONSUMER_TOO_SLOW', data: { maxBuffered: 2 } })
  expect(await inbox.next()).toEqual({ done: true, value: undefined })
})

test('where the carrier heeds it, it waits instead, and says when there is room', async () => {
  const inbox = new Inbox<number>({ maxItems: 2, maxBytes: 1_000 })
  inbox.heed()
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
  const inbox = new Inbox<number>({ maxItems: 1, maxBytes: 1_000 })
  inbox.heed()
  inbox.push(1)
  const waiting = inbox.whenRoom()
  inbox.discard()
  await waiting
  expect(await inbox.next()).toEqual({ done: true, value: undefined })
})

test('ends all who wait, with the error told once', async () => {
  const inbox = new Inbox<number>({ maxItems: 1, maxBytes: 1_000 })
  const [first, second] = [inbox.next(), inbox.next()]
  inbox.end(new Error('over'))
  await expect(first).rejects.toThrow('over')
  expect(await second).toEqual({ done: true, value: undefined })
})

test('refuses a bound that would hold nothing', () => {
  expect(() => new Inbox({ maxItems: 0, maxBytes: 1 })).toThrow('maxBuffered is 0')
  expect(() => new Inbox({ maxItems: 1, maxBytes: 0 })).toThrow('maxBufferedBytes is 0')
})

test('is full by its bytes as well, as they were received', async () => {
  const inbox = new Inbox<number>({ maxItems: 10, maxBytes: 1_000 })
  inbox.receive(600, () => inbox.push(1))
  expect(inbox.full).toBe(false)
  inbox.receive(600, () => inbox.push(2))
  expect(inbox.full).toBe(true)
  await take(inbox)
  expect(inbox.full).toBe(false)
})

test('whoever counts is told what was taken in few calls, after half of the events or an eighth of the bytes', async () => {
  const inbox = new Inbox<number>({ maxItems: 8, maxBytes: 8 * 1024 * 1024 })
  const told: number[] = []
  inbox.heed(events => told.push(events))
  for (const n of [1, 2, 3, 4, 5]) inbox.receive(10, () => inbox.push(n))
  for (let i = 0; i < 3; i++) await take(inbox)
  expect(told).toEqual([])
  await take(inbox)
  expect(told).toEqual([4])
  inbox.receive(1024 * 1024, () => inbox.push(6))
  await take(inbox)
  await take(inbox)
  expect(told).toEqual([4, 2])
})

test('what is handed on at once, or kept on its way here, counts as taken', async () => {
  const inbox = new Inbox<number>({ maxItems: 2, maxBytes: 1_000 })
  const told: number[] = []
  inbox.heed(events => told.push(events))
  const waiting = inbox.next()
  inbox.receive(10, () => inbox.push(1))
  expect(await waiting).toEqual({ done: false, value: 1 })
  inbox.receive(10, () => {})
  expect(told).toEqual([1, 1])
})

test('says when all of it is taken', async () => {
  const inbox = new Inbox<number>({ maxItems: 2, maxBytes: 1_000 })
  inbox.push(1)
  inbox.push(2)
  let empty = false
  expect(inbox.empties(() => (empty = true))).toBe(true)
  await take(inbox)
  await Promise.resolve()
  expect(empty).toBe(false)
  await take(inbox)
  await Promise.resolve()
  expect(empty).toBe(true)
  expect(inbox.empties(() => {})).toBe(false)
})
