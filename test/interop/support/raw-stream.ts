/** The stream carrier for a client that knows nothing but HTTP. */
import http from 'node:http'
import { RawResponse } from './raw-http.ts'

/** Asks for a stream of many subscriptions; settles when its head is here. */
export function postStream(url: string, body: unknown, query = 'sluice=1'): Promise<RawResponse> {
  return RawResponse.open(`${url.replace(/\/$/, '')}/:stream?${query}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
}

/** The same as a request of Node's on a connection of its own, for who reads at a pace of theirs. */
export function requestStream(port: number, subscriptions: readonly unknown[]): http.ClientRequest {
  const request = http.request({
    port,
    host: '127.0.0.1',
    path: '/:stream?sluice=1',
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    agent: false,
  })
  request.end(JSON.stringify({ subscriptions }))
  return request
}

export function subscriptionOf(id: number, path: string, input?: unknown, lastEventId?: string) {
  return { id, method: 'subscription', params: { path, input, lastEventId } }
}

/** The messages in the body of a stream, and the names of its control events, in order. */
export function messagesIn(text: string): unknown[] {
  return text
    .split('\n\n\n')
    .filter(event => event !== '')
    .map(event => /^event: (.*)/.exec(event)?.[1] ?? (JSON.parse(event.replace(/^data: /, '')) as unknown))
}
