/** Readers of one subscription that can stop reading, one kind for each carrier. */
import { once } from 'node:events'
import http from 'node:http'
import type { IncomingMessage } from 'node:http'
import http2 from 'node:http2'
import { createParser } from 'eventsource-parser'
import { isGap } from 'trpc-sluice/shared'
import { createRecorder, type Recorder } from 'trpc-sluice/testing'
import { WebSocket } from 'ws'

/** What came: an event by its number, so many that were dropped, or how it ended. */
export type Seen =
  | { readonly n: number; readonly delayMs: number }
  | { readonly dropped: number }
  | { readonly ended: string }

export interface Reader {
  readonly seen: Recorder<Seen>
  /** The id of the last event. */
  cursor(): string | undefined
  stop(): void
  go(): void
  close(): void
}

export interface Ports {
  readonly port: number
  readonly port2: number
}

export type OpenReader = (ports: Ports, path: string, cursor?: string) => Promise<Reader>

function createLog() {
  const seen = createRecorder<Seen>()
  let cursor: string | undefined
  return {
    seen,
    cursor: () => cursor,
    event(id: string | undefined, data: unknown) {
      cursor = id
      if (isGap(data)) {
        if (data.reason === 'dropped') seen.push({ dropped: data.dropped })
        return
      }
      const { n, at } = data as { n: number; at: number }
      seen.push({ n, delayMs: performance.timeOrigin + performance.now() - at })
    },
    error: (shape: { data: { sluice?: { code: string } } }) =>
      seen.push({ ended: shape.data.sluice?.code ?? 'error' }),
  }
}

interface Message {
  readonly result?: { readonly type: string; readonly data?: { readonly id: string; readonly data: unknown } }
  readonly error?: { data: { sluice?: { code: string } } }
}

async function openWebSocket({ port }: Ports, path: string, lastEventId?: string): Promise<Reader> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}`)
  await once(socket, 'open')
  const log = createLog()
  const started = new Promise<void>(resolve => {
    socket.on('message', (message: Buffer) => {
      const { result, error } = JSON.parse(message.toString()) as Message
      if (error) log.error(error)
      else if (result?.data) log.event(result.data.id, result.data.data)
      else resolve()
    })
  })
  const params = { path, input: {}, ...(lastEventId !== undefined && { lastEventId }) }
  socket.send(JSON.stringify({ id: 1, method: 'subscription', params }))
  await started
  return {
    seen: log.seen,
    cursor: log.cursor,
    stop: () => socket.pause(),
    go: () => socket.resume(),
    close: () => socket.terminate(),
  }
}

/** @returns what takes the text of a response, and the moment in which it said that it is connected. */
function listen(log: ReturnType<typeof createLog>) {
  let feed = (_text: string) => {}
  const connected = new Promise<void>(resolve => {
    const parser = createParser({
      onEvent({ event, data, id }) {
        if (event === 'connected') resolve()
        else if (event === 'serialized-error') log.error(JSON.parse(data) as NonNullable<Message['error']>)
        else if (event === undefined) log.event(id, JSON.parse(data))
      },
    })
    feed = text => parser.feed(text)
  })
  return { connected, feed }
}

const toPath = (path: string, cursor?: string) =>
  `/${path}?input={}${cursor === undefined ? '' : `&lastEventId=${cursor}`}`

async function openEventStream({ port }: Ports, path: string, cursor?: string): Promise<Reader> {
  const request = http.get({ port, host: '127.0.0.1', path: toPath(path, cursor), agent: false })
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  const log = createLog()
  const { connected, feed } = listen(log)
  response.setEncoding('utf8').on('data', feed)
  await connected
  return {
    seen: log.seen,
    cursor: log.cursor,
    stop: () => response.pause(),
    go: () => response.resume(),
    close: () => request.destroy(),
  }
}

/** A peer that gives a window of 0 when it stops: what was already allowed may still come. */
async function openHttp2({ port2 }: Ports, path: string, cursor?: string): Promise<Reader> {
  const open = 1024 * 1024
  const session = http2.connect(`http://127.0.0.1:${port2}`, { settings: { initialWindowSize: open } })
  await once(session, 'connect')
  const log = createLog()
  const { connected, feed } = listen(log)
  const stream = session.request({ ':path': toPath(path, cursor) })
  stream.setEncoding('utf8').on('data', feed)
  await connected
  return {
    seen: log.seen,
    cursor: log.cursor,
    stop() {
      stream.pause() // gives no more than the window that there is
      session.settings({ initialWindowSize: 0 }) // and takes that back
    },
    go() {
      session.settings({ initialWindowSize: open })
      stream.resume()
    },
    close: () => session.destroy(),
  }
}

export const openers: readonly (readonly [carrier: string, open: OpenReader])[] = [
  ['WebSocket', openWebSocket],
  ['SSE', openEventStream],
  ['HTTP/2', openHttp2],
]
