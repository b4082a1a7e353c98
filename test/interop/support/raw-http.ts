/** An HTTP client that knows nothing of tRPC: it keeps status, headers and body as they came, while they come. */
import { request, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import { eventually } from '../../kit/deadline.ts'

export interface RawRequest {
  readonly method?: string
  readonly headers?: Record<string, string>
  readonly body?: string | Uint8Array
}

export class RawResponse implements AsyncDisposable {
  text = ''
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** How the body ended. */
  readonly ended: Promise<'complete' | 'aborted'>
  readonly #message: IncomingMessage

  private constructor(message: IncomingMessage) {
    this.#message = message
    this.status = message.statusCode ?? 0
    this.headers = message.headers
    message.setEncoding('utf8')
    message.on('data', (chunk: string) => (this.text += chunk))
    message.on('error', () => {}) // a response that is cut; `ended` tells of it
    this.ended = new Promise(resolve => {
      message.once('close', () => resolve(message.complete ? 'complete' : 'aborted'))
    })
  }

  /** Settles when the head is here. */
  static open(url: string, { method = 'GET', headers = {}, body }: RawRequest = {}): Promise<RawResponse> {
    return new Promise((resolve, reject) => {
      const sent = request(url, { method, headers, agent: false }, message =>
        resolve(new RawResponse(message)),
      )
      sent.once('error', reject)
      sent.end(body)
    })
  }

  async until(text: string): Promise<void> {
    await eventually(() => this.text.includes(text), {
      what: () => `${JSON.stringify(text)} in ${JSON.stringify(this.text)}`,
    })
  }

  pause(): void {
    this.#message.pause()
  }

  resume(): void {
    this.#message.resume()
  }

  /** A polite end: FIN. */
  leave(): void {
    this.#message.destroy()
  }

  /** A reset, as from a crash. */
  cut(): void {
    this.#message.socket.resetAndDestroy()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#message.destroy()
    await this.ended
  }
}
