import net from 'node:net'
import { mark } from './mark.ts'
import type { Exchange } from './peer.ts'
import { Inflater } from './inflate.ts'
import { clientFrame } from './requests.ts'

const needle = Buffer.from(mark)
const half = needle[0]

/** One bare TCP connection, as cheap as can be: it waits for words, or counts the events in the bytes. */
export class Line {
  readonly #socket: net.Socket
  readonly closed: Promise<void>
  #heard = ''
  #check: (() => void) | null = null
  #arrive: ((events: number) => void) | null = null
  /** Whether the last byte was the first half of a mark. */
  #split = false
  #closing = false
  #inflater: Inflater | null = null

  constructor(port: number) {
    this.#socket = net.connect(port, '127.0.0.1').setNoDelay()
    this.#socket.on('data', chunk => this.#take(chunk))
    this.closed = new Promise((resolve, reject) => {
      this.#socket.on('error', reject)
      this.#socket.on('close', () => {
        if (this.#closing) resolve()
        else reject(new Error(`The server closed a connection after: ${this.#heard.slice(-300)}`))
      })
    })
  }

  /** What is said in one turn goes out in one piece, as it does from a browser. */
  write(bytes: string | Buffer): void {
    if (this.#socket.writableCorked === 0) {
      this.#socket.cork()
      process.nextTick(() => this.#socket.uncork())
    }
    this.#socket.write(bytes)
  }

  /** Says something in a WebSocket message, and waits for the answer. */
  async exchange(exchange: Exchange, id: number): Promise<void> {
    const heard =
      exchange.hear === undefined ? undefined : this.hear(exchange.hear.replaceAll('{id}', String(id)))
    this.say(exchange, id)
    await heard
  }

  /** The same without waiting. */
  say({ say }: Exchange, id: number): void {
    this.write(clientFrame(say.replaceAll('{id}', String(id))))
  }

  /** Waits until the server has said something, and forgets what came before. */
  hear(text: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`Expected ${text}, and heard: ${this.#heard.slice(-300)}`)),
        30_000,
      )
      this.#check = () => {
        const at = this.#heard.indexOf(text)
        if (at === -1) return
        this.#heard = this.#heard.slice(at + text.length)
        this.#check = null
        clearTimeout(timer)
        resolve()
      }
      this.#check()
    })
  }

  /** Counts events from now on, and those that came with the last words. */
  count(arrive: (events: number) => void): void {
    this.#arrive = arrive
    this.#count(Buffer.from(this.#heard, 'latin1'))
    this.#heard = ''
  }

  /** What comes from now on is WebSocket frames that may be deflated. */
  inflate(): void {
    this.#inflater = new Inflater()
  }

  pause(): void {
    this.#socket.pause()
  }

  /** With what is to be said last; settles when the server has closed, too. */
  async close(goodbye: Buffer): Promise<void> {
    this.#closing = true
    this.#socket.end(goodbye)
    await this.closed
  }

  #take(raw: Buffer): void {
    const chunk = this.#inflater?.read(raw) ?? raw
    if (this.#arrive) return this.#count(chunk)
    this.#heard += chunk.toString('latin1')
    this.#check?.()
  }

  #count(chunk: Buffer): void {
    if (chunk.length === 0) return
    let found = this.#split && chunk[0] === half ? 1 : 0
    for (let at = chunk.indexOf(needle, found); at !== -1; at = chunk.indexOf(needle, at + needle.length)) {
      found++
    }
    this.#split = chunk.at(-1) === half && chunk.at(-2) !== half
    if (found > 0) this.#arrive?.(found)
  }
}
