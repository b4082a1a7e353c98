import { afterEach, expect, test, vi } from 'vitest'
import { toHttpUrl, toSubscriptionUrl } from '../../../client/transports/http-url.ts'
import { toWebSocketUrl } from '../../../client/transports/url.ts'

test.each([
  ['http://a/trpc', 'ws://a/trpc?sluice=1'],
  ['https://a/trpc?x=1', 'wss://a/trpc?x=1&sluice=1'],
  ['ws://a/trpc', 'ws://a/trpc?sluice=1'],
  ['wss://a', 'wss://a?sluice=1'],
])('%s as a WebSocket is %s', (url, expected) => {
  expect(toWebSocketUrl(url, false)).toBe(expected)
})

test('a WebSocket says in its address that connection params will follow', () => {
  expect(toWebSocketUrl('ws://a', true)).toBe('ws://a?connectionParams=1&sluice=1')
})

test('over HTTP the connection params are in the query', () => {
  expect(toHttpUrl('wss://a/trpc', { token: 'ä&b' })).toBe(
    `https://a/trpc?connectionParams=${encodeURIComponent('{"token":"ä&b"}')}`,
  )
  expect(toHttpUrl('http://a/trpc', null)).toBe('http://a/trpc')
})

test("a stream's address is tRPC's own, with the cursor beside the input", () => {
  const asked = { path: 'rooms.on', input: { room: 'a b' }, lastEventId: 'x.y.4', again: true } as const
  const url = new URL(toSubscriptionUrl('http://a/trpc/?k=1', asked))
  expect(url.pathname).toBe('/trpc/rooms.on')
  expect([...url.searchParams]).toEqual([
    ['k', '1'],
    ['input', '{"room":"a b"}'],
    ['lastEventId', 'x.y.4'],
    ['again', '1'],
    ['sluice', '1'],
  ])
  expect(toSubscriptionUrl('http://a', { path: 'p', input: undefined })).toBe('http://a/p?sluice=1')
})

afterEach(() => void vi.unstubAllGlobals())

test('a relative address is resolved against the page', () => {
  vi.stubGlobal('location', { href: 'https://app.example/rooms/5' })
  expect(toWebSocketUrl('/trpc', false)).toBe('wss://app.example/trpc?sluice=1')
  expect(toHttpUrl('trpc', null)).toBe('https://app.example/rooms/trpc')
})

test('and it needs a page', () => {
  expect(() => toHttpUrl('/trpc', null)).toThrow(expect.objectContaining({ code: 'TRANSPORT_UNAVAILABLE' }))
})
