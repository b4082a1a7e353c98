/** Readers of one subscription that can stop reading, one kind for each carrier. */
import { once } from 'node:events'
import http from 'node:http'
import type { IncomingMessage } from 'node:http'
import http2 from 'node:http2'
import { createParser } from 'eventsource-parser'
import { isGap } from 'trpc-sluice/shared'
import { createRecorder, type Recorder } from 'trpc-sluice/testing'
import { WebSocket } from 'ws'
import { requestStream } from '../../interop/support/raw-stream.ts'

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
  const event = (id: string | undefined, data: unknown) => {
    cursor = id
    if (isGap(data)) {
      if (data.reason === 'dropped') seen.push({ dropped: data.dropped })
      return
    }
    const { n, at } = data as { n: number; at: number }
    seen.push({ n, delayMs: performance.timeOrigin + performance.now() - at })
  }
  const error = (shape: NonNullable<Message['error']>) =>
    seen.push({ ended: shape.data.sluice?.code ?? 'error' })
  return {
    seen,
    cursor: () => cursor,
    event,
    error,
    /** @returns whether the message says more than that something has begun. */
    message(json: string): boolean {
      const { result, error: shape } = JSON.parse(json) as Message
      if (shape) error(shape)
      else if (result?.data) event(result.data.id, result.data.data)
      return shape !== undefined || result?.data !== undefined
    },
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
      if (!log.message(message.toString())) resolve()
    })
  })
  socket.send(JSON.stringify(toRequest(path, lastEventId)))
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

const toRequest = (path: string, lastEventId?: string) => ({
  id: 1,
  method: 'subscription',
  params: { path, input: {}, ...(lastEventId !== undefined && { lastEventId }) },
})

async function openEventStream({ port }: Ports, path: string, cursor?: string): Promise<Reader> {
  const log = createLog()
  return read(
    http.get({ port, host: '127.0.0.1', path: toPath(path, cursor), agent: false }),
    log,
    listen(log),
  )
}

async function openStream({ port }: Ports, path: string, cursor?: string): Promise<Reader> {
  const request = requestStream(port, [toRequest(path, cursor)])
  const log = createLog()
  let feed = (_text: string) => {}
  const connected = new Promise<void>(resolve => {
    const parser = createParser({
      onEvent({ event, data }) {
        if (event === undefined && !log.message(data)) resolve()
      },
    })
    feed = text => parser.feed(text)
  })
  return read(request, log, { connected, feed })
}

async function read(
  request: http.ClientRequest,
  log: ReturnType<typeof createLog>,
  { connected, feed }: ReturnType<typeof listen>,
): Promise<Reader> {
  const [response] = (await once(request, 'response')) as [IncomingMessage]
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
  ['stream', openStream],
  ['SSE', openEventStream],
  ['HTTP/2', openHttp2],
]
