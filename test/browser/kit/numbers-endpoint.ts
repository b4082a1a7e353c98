/**
 * An OpenAI-compatible endpoint whose every answer is the numbers from one on, one a token: so that a token that is
 * missing or comes twice shows. It can also do what endpoints do wrong.
 */
import { once } from 'node:events'
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

/** What the next request meets. */
export type Mood =
  | { readonly kind: 'answer'; readonly count: number; readonly everyMs: number }
  | { readonly kind: 'refuse'; readonly status: number }
  /** Ends the connection after so many tokens. */
  | { readonly kind: 'cut'; readonly after: number }

export const calm: Mood = { kind: 'answer', count: 150, everyMs: 15 }

export async function startNumbersEndpoint(): Promise<NumbersEndpoint> {
  const endpoint = new NumbersEndpoint()
  await endpoint.start()
  return endpoint
}

export class NumbersEndpoint {
  mood: Mood = calm
  #port = 0
  #server: Server | null = null

  get baseURL(): string {
    return `http://127.0.0.1:${this.#port}/v1`
  }

  /** Listens, and after a `stop` again at the same address. */
  async start(): Promise<void> {
    const server = createServer((request, response) => {
      request.resume()
      // It never rejects: a reader who hangs up is part of the game.
      void answer(response, this.mood)
    })
    server.listen(this.#port, '127.0.0.1')
    await once(server, 'listening')
    this.#port = (server.address() as AddressInfo).port // listening on TCP: never a pipe's name
    this.#server = server
  }

  /** From now on the endpoint is down. */
  async stop(): Promise<void> {
    const server = this.#server
    this.#server = null
    if (!server) return
    const closed = once(server, 'close')
    server.close()
    server.closeAllConnections()
    await closed
  }
}

async function answer(response: ServerResponse, mood: Mood): Promise<void> {
  if (mood.kind === 'refuse') {
    response.writeHead(mood.status, { 'Content-Type': 'application/json' })
    response.end(JSON.stringify({ error: { message: 'no', type: 'invalid_request_error', code: null } }))
    return
  }
  const send = (content: string, finish_reason: string | null = null) =>
    response.write(
      `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content }, finish_reason }] })}\n\n`,
    )
  response.writeHead(200, { 'Content-Type': 'text/event-stream' })
  const count = mood.kind === 'cut' ? mood.after : mood.count
  for (let number = 1; number <= count && !response.destroyed; number++) {
    send(`${number} `)
    await delay(mood.kind === 'cut' ? 5 : mood.everyMs)
  }
  if (mood.kind === 'cut') return void response.destroy()
  send('', 'stop')
  response.end('data: [DONE]\n\n')
}

/** The whole answer of `count` tokens. */
export function numbersUpTo(count: number): string {
  return Array.from({ length: count }, (_, i) => i + 1).join(' ')
}
