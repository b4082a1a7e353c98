/** One connection through the proxy: a client's socket, a server's socket, and a lane each way. */
import type { Socket } from 'node:net'
import { Lane } from './lane.ts'
import type { Pace } from './lane.ts'

/** How a connection ends: by a reset, or by a polite end of both halves. */
export type CutHow = 'rst' | 'fin'

export class Link {
  readonly #client: Socket
  readonly #server: Socket
  readonly #up: Lane
  readonly #down: Lane
  #stalled = false
  /** The socket that failed while the link was stalled: the other side may not know yet. */
  #failed: Socket | null = null
  /** While it waits for a chunk to be cut within. */
  #doomed: Promise<void> | null = null
  #spare = () => {}
  /** Settles when both sockets are gone. */
  readonly closed: Promise<void>

  constructor(client: Socket, server: Socket, pace: Readonly<Pace>) {
    this.#client = client
    this.#server = server
    this.#up = new Lane(client, server, pace)
    this.#down = new Lane(server, client, pace)
    client.on('error', () => this.#lose(client))
    server.on('error', () => this.#lose(server))
    this.closed = Promise.all([gone(client), gone(server)]).then(() => {})
  }

  stall(): void {
    this.#stalled = true
    this.#up.stall()
    this.#down.stall()
  }

  resume(): void {
    this.#stalled = false
    this.#up.resume()
    this.#down.resume()
    if (this.#failed) this.#lose(this.#failed)
  }

  /** Ends both sides at once; settles when the ends are on their way. */
  async cut(how: CutHow): Promise<void> {
    this.#up.detach()
    this.#down.detach()
    await Promise.all([end(this.#client, how), end(this.#server, how)])
  }

  /**
   * Lets the client have half of the server's next chunk, then cuts. Settles then, or when the link is gone, or spared.
   * Where it waits for that already, nothing changes.
   */
  cutWithinNextChunk(how: CutHow): Promise<void> {
    this.#doomed ??= this.#cutWithinNextChunk(how).finally(() => (this.#doomed = null))
    return this.#doomed
  }

  async #cutWithinNextChunk(how: CutHow): Promise<void> {
    const reached = new Promise<boolean>(resolve => {
      this.#spare = () => resolve(false)
      this.#down.cutWithinNextChunk(() => resolve(true))
    })
    if (await Promise.race([reached, this.closed.then(() => true)])) await this.cut(how)
  }

  /** One that waits for a chunk to be cut within is not cut. */
  spare(): void {
    if (this.#down.spare()) this.#spare()
  }

  /** An error on one side is a reset on the other; while stalled, the other side must not hear of it. */
  #lose(side: Socket): void {
    if (this.#stalled) {
      this.#failed = side
      return
    }
    reset(side === this.#client ? this.#server : this.#client)
  }
}

/** Resets a socket, in whatever state it is. */
export function reset(socket: Socket): void {
  if (socket.destroyed) return
  // A socket that is not connected has nothing to reset. One that is being shut down cannot be reset: libuv refuses
  // (EINVAL), and Node 20 then never emits its `close`.
  if (socket.connecting || socket.writableEnded) socket.destroy()
  else socket.resetAndDestroy()
}

function end(socket: Socket, how: CutHow): Promise<void> {
  if (socket.destroyed) return Promise.resolve()
  if (how === 'rst') {
    const closed = gone(socket)
    reset(socket)
    return closed
  }
  // What still comes in is read and dropped: a socket closed with unread bytes would send a reset after all.
  socket.on('end', () => socket.destroy())
  socket.resume()
  if (socket.writableFinished) return Promise.resolve() // by an earlier cut
  const sent = new Promise<void>(resolve => socket.once('finish', resolve))
  socket.end()
  return Promise.race([sent, gone(socket)])
}

function gone(socket: Socket): Promise<void> {
  return socket.closed ? Promise.resolve() : new Promise(resolve => socket.once('close', () => resolve()))
}
