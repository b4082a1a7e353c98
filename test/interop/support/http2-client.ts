/** One HTTP/2 connection, with as many requests and event streams on it as one likes. */
import { once } from 'node:events'
import http2, { type ClientHttp2Session, type ClientHttp2Stream, type SessionOptions } from 'node:http2'
import { createParser } from 'eventsource-parser'
import { createRecorder, type Recorder } from 'trpc-sluice/testing'
import type { SecureServer } from './secure-server.ts'

/** A numbered event, as it came. */
export interface Numbered {
  readonly n: number
  readonly id: string | undefined
}

export interface EventStreamReader {
  readonly stream: ClientHttp2Stream
  readonly seen: Recorder<Numbered>
}

export async function connectHttp2(
  server: SecureServer,
  settings: SessionOptions['settings'] = {},
): Promise<Http2Client> {
  const session = http2.connect(server.url, { ca: server.ca, settings })
  await once(session, 'connect')
  return new Http2Client(session)
}

export class Http2Client implements Disposable {
  constructor(readonly session: ClientHttp2Session) {}

  /** The body of a response. */
  async ask(path: string, post?: unknown): Promise<unknown> {
    const json = await this.post(path, post === undefined ? undefined : JSON.stringify(post))
    return JSON.parse(json)
  }

  /** The same as text, for any text; a GET where there is none. */
  post(path: string, body: string | undefined): Promise<string> {
    return this.begin(path, body, null)
  }

  /** The beginning of a response, as far as this; of one without it, all. */
  async begin(path: string, body: string | Uint8Array | undefined, until: RegExp | null): Promise<string> {
    const method = body === undefined ? 'GET' : 'POST'
    const request = this.session.request({
      ':path': path,
      ':method': method,
      'content-type': 'application/json',
    })
    request.end(body)
    let text = ''
    for await (const chunk of request.setEncoding('utf8')) {
      text += String(chunk)
      if (until?.test(text)) break // which resets it
    }
    return text
  }

  /** Subscribes; settles when the response has begun, before any of it is read. */
  async subscribe(path: string, headers: Record<string, string> = {}): Promise<EventStreamReader> {
    const stream = this.session.request({ ':path': path, ...headers })
    const seen = createRecorder<Numbered>()
    const parser = createParser({
      onEvent({ event, data, id }) {
        if (event !== undefined) return
        const { n } = JSON.parse(data) as { n: number }
        seen.push({ n, id })
      },
    })
    await once(stream, 'response')
    stream.setEncoding('utf8').on('data', (text: string) => parser.feed(text))
    stream.on('end', () => seen.end())
    return { stream, seen }
  }

  /** Settles when the server has seen all that was sent before. */
  async settled(): Promise<void> {
    await new Promise<void>((resolve, reject) =>
      this.session.ping(error => (error ? reject(error) : resolve())),
    )
  }

  [Symbol.dispose](): void {
    this.session.destroy()
  }
}
