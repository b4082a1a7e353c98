/** Several subscriptions on one connection, whose reader can take its time: one kind for each carrier that has that. */
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { setImmediate as turn } from 'node:timers/promises'
import { createParser } from 'eventsource-parser'
import { requestStream, subscriptionOf } from '../../interop/support/raw-stream.ts'
import { WebSocket } from 'ws'

/** An event, by the id of its subscription, and the bytes of its message. */
export interface Arrived {
  readonly id: number
  readonly bytes: number
}

export interface Line extends Disposable {
  /** In the order in which they came. */
  readonly arrived: readonly Arrived[]
  /** Takes no more. */
  stop(): void
  /** Takes what has come, and lies still for so many turns of the event loop before it takes more. */
  takeSlowly(turns: number): void
}

/** What is asked for, by id from 1 on. */
export type Asked = readonly { readonly path: string; readonly input?: unknown }[]

export type OpenLine = (port: number, asked: Asked) => Promise<Line>

const toMessages = (asked: Asked) => asked.map(({ path, input }, i) => subscriptionOf(i + 1, path, input))

class Taken {
  readonly arrived: Arrived[] = []

  take(message: string): void {
    const [, id] = /^{"id":(\d+),"result":{"type":"data"/.exec(message) ?? []
    if (id !== undefined) this.arrived.push({ id: Number(id), bytes: message.length })
  }
}

/** Between two takings it lies still for a while, or for ever. */
class Pace {
  #turns = 0
  #lying = false
  readonly #reader: { pause(): unknown; resume(): unknown }

  constructor(reader: { pause(): unknown; resume(): unknown }) {
    this.#reader = reader
  }

  stop(): void {
    this.#turns = Infinity
    this.#reader.pause()
  }

  takeSlowly(turns: number): void {
    this.#turns = turns
    this.#reader.resume()
  }

  /** It has taken some. */
  async took(): Promise<void> {
    if (this.#turns === 0 || this.#lying) return
    this.#lying = true
    this.#reader.pause()
    for (let left = this.#turns; left > 0 && this.#turns !== Infinity; left--) await turn()
    this.#lying = false
    if (this.#turns !== Infinity) this.#reader.resume()
  }
}

async function openWebSocket(port: number, asked: Asked): Promise<Line> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}`)
  await once(socket, 'open')
  const taken = new Taken()
  const pace = new Pace(socket)
  socket.on('message', (message: Buffer) => {
    taken.take(message.toString())
    void pace.took()
  })
  for (const message of toMessages(asked)) socket.send(JSON.stringify(message))
  return toLine(taken, pace, () => socket.terminate())
}

async function openStream(port: number, asked: Asked): Promise<Line> {
  const request = requestStream(port, toMessages(asked))
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  const taken = new Taken()
  const pace = new Pace(response)
  const parser = createParser({ onEvent: ({ data }) => taken.take(data) })
  response.setEncoding('utf8').on('data', (text: string) => {
    parser.feed(text)
    void pace.took()
  })
  return toLine(taken, pace, () => request.destroy())
}

function toLine({ arrived }: Taken, pace: Pace, close: () => void): Line {
  return {
    arrived,
    stop: () => pace.stop(),
    takeSlowly: turns => pace.takeSlowly(turns),
    [Symbol.dispose]: close,
  }
}

export const lines: readonly (readonly [carrier: string, open: OpenLine])[] = [
  ['a WebSocket', openWebSocket],
  ['a stream', openStream],
]
