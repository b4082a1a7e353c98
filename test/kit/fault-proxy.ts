/**
 * A TCP proxy that breaks connections on command, in the ways that networks do: resets, polite ends, ends in the
 * middle of a frame, silence with the sockets left open, a trickle, tiny segments, refusals. It changes no byte.
 */
import { connect, createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import type { Pace } from './proxy/lane.ts'
import { Link, reset } from './proxy/link.ts'
import type { CutHow } from './proxy/link.ts'
import { asksForUpgrade, refusal } from './proxy/upgrade-gate.ts'
import type { UpgradeAnswer } from './proxy/upgrade-gate.ts'

export interface FaultProxyOptions {
  /** Where the real server is: its URL (the path is ignored), or its port, on 127.0.0.1 unless `host` says otherwise. */
  readonly target: string | URL | { readonly port: number; readonly host?: string }
  /** Port to listen on; default 0: any that is free. */
  readonly port?: number
}

export interface CutOptions {
  /** `rst` (default): a reset, as from a crash or a lost route. `fin`: a polite end, as from a restart. */
  readonly how?: CutHow
  /**
   * Waits for the server's next chunk on each connection, lets half of it pass, and cuts then. Default false. Where none
   * comes, it waits until `heal` spares the connection.
   */
  readonly midFrame?: boolean
}

/**
 * Starts a fault proxy on 127.0.0.1 in front of a server.
 *
 * @example
 * ```ts
 * await using proxy = await createFaultProxy({ target: 'http://localhost:3000' })
 * const socket = new WebSocket(proxy.wsUrl)
 * await proxy.cut()
 * ```
 */
export async function createFaultProxy(options: FaultProxyOptions): Promise<FaultProxy> {
  // Half-open both ways: an end passes through in its own direction only.
  const server = createServer({ allowHalfOpen: true, noDelay: true })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port ?? 0, '127.0.0.1', resolve)
  })
  return new FaultProxy(server, toTarget(options.target))
}

/** Faults stay until they are undone, and hold for connections present and to come; `cut` is for those present. */
export class FaultProxy implements AsyncDisposable {
  readonly port: number
  readonly #server: Server
  #target: Target
  #closing: Promise<void> | null = null

  readonly #links = new Set<Link>()
  /** Clients' sockets that are in no link: they have not said yet what they want, or get no answer to it. */
  readonly #atGate = new Set<Socket>()
  /** Every socket that may still be open. */
  readonly #sockets = new Set<Socket>()
  #accepted = 0

  readonly #pace: Pace = { bytesPerSecond: Infinity, maxBytes: Infinity }
  #stalled = false
  #refusing = false
  #upgradeAnswer: UpgradeAnswer | null = null

  /** Use `createFaultProxy`. */
  constructor(server: Server, target: Target) {
    this.port = (server.address() as AddressInfo).port // listening on TCP: never a pipe's name
    this.#server = server
    this.#target = target
    server.on('connection', socket => this.#accept(socket))
  }

  get httpUrl(): string {
    return `http://127.0.0.1:${this.port}`
  }

  get wsUrl(): string {
    return `ws://127.0.0.1:${this.port}`
  }

  /** The proxy's address with a path: `proxy.url('/trpc')`. */
  url(path = ''): string {
    return this.httpUrl + path
  }

  /** Connections that pass through the proxy now; one that is half-open counts. */
  get connections(): number {
    return this.#links.size
  }

  /** All that were ever accepted, refused ones left out: a client that came back three times has made four. */
  get accepted(): number {
    return this.#accepted
  }

  /** Ends all present connections on both sides; settles when that has happened. */
  async cut({ how = 'rst', midFrame = false }: CutOptions = {}): Promise<void> {
    if (!midFrame) for (const socket of this.#atGate) reset(socket)
    const links = [...this.#links]
    await Promise.all(links.map(link => (midFrame ? link.cutWithinNextChunk(how) : link.cut(how))))
  }

  /**
   * Nothing passes any more, in either direction, while all sockets stay open: not even the news that a peer is
   * gone. New connections are accepted and get nothing either.
   */
  stall(): void {
    this.#stalled = true
    for (const link of this.#links) link.stall()
  }

  /** Lets what was held up by `stall` pass. */
  resume(): void {
    this.#stalled = false
    for (const link of this.#links) link.resume()
  }

  /** Limits each direction of each connection; `Infinity` is full speed. The buffers of the system come on top. */
  slow({ bytesPerSecond }: { readonly bytesPerSecond: number }): void {
    this.#pace.bytesPerSecond = positive('bytesPerSecond', bytesPerSecond)
  }

  /** Passes bytes on in segments of at most `maxBytes`, one a turn of the event loop; `Infinity` undoes it. */
  slice({ maxBytes }: { readonly maxBytes: number }): void {
    this.#pace.maxBytes = positive('maxBytes', maxBytes)
  }

  /** Resets new connections at once; those present go on. */
  refuse(): void {
    this.#refusing = true
  }

  /** Undoes `refuse`. */
  accept(): void {
    this.#refusing = false
  }

  /**
   * Refuses new connections that ask for an upgrade (a WebSocket), while plain HTTP passes: with an HTTP status
   * (default 403), by a reset (`drop`), or with `silence`.
   */
  refuseUpgrades({ answer = 403 }: { readonly answer?: UpgradeAnswer } = {}): void {
    this.#upgradeAnswer = answer
  }

  /** Undoes `refuseUpgrades`. */
  allowUpgrades(): void {
    this.#upgradeAnswer = null
  }

  /** Undoes every fault, a cut in mid-frame included that waits for its frame; what was cut stays cut. */
  heal(): void {
    for (const link of this.#links) link.spare()
    this.slow({ bytesPerSecond: Infinity })
    this.slice({ maxBytes: Infinity })
    this.accept()
    this.allowUpgrades()
    this.resume()
  }

  /** Sends new connections to another port of the target's host: the server has restarted there. */
  retarget(port: number): void {
    this.#target = { ...this.#target, port }
  }

  /** Ends all connections and stops listening. May be called again; settles when every socket is closed. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    const stopped = new Promise(resolve => this.#server.close(resolve))
    const ended = [...this.#links].map(link => link.closed)
    for (const socket of this.#sockets) reset(socket)
    await Promise.all([stopped, ...ended])
    this.#links.clear()
  }

  #accept(client: Socket): void {
    this.#own(client)
    if (this.#refusing || this.#closing) return reset(client)
    this.#accepted += 1
    const answer = this.#upgradeAnswer
    if (answer === null) return this.#join(client)
    this.#atGate.add(client)
    client.once('close', () => this.#atGate.delete(client))
    // asksForUpgrade never rejects: a socket that fails is one that ended.
    void asksForUpgrade(client).then(upgrade => {
      if (upgrade === false) this.#join(client)
      else if (upgrade === null || answer === 'drop') reset(client)
      else if (answer !== 'silence') client.end(refusal(answer), () => client.destroy())
    })
  }

  #join(client: Socket): void {
    this.#atGate.delete(client)
    if (client.destroyed) return
    const server = connect({ ...this.#target, allowHalfOpen: true, noDelay: true })
    this.#own(server)
    const link = new Link(client, server, this.#pace)
    if (this.#stalled) link.stall()
    this.#links.add(link)
    void link.closed.then(() => this.#links.delete(link))
  }

  #own(socket: Socket): void {
    this.#sockets.add(socket)
    // Every failure is followed by a close, and the link listens for both; this keeps a lone socket harmless.
    socket.on('error', () => {})
    socket.once('close', () => this.#sockets.delete(socket))
  }
}

interface Target {
  readonly host: string
  readonly port: number
}

function toTarget(target: FaultProxyOptions['target']): Target {
  if (typeof target === 'object' && 'port' in target && typeof target.port === 'number') {
    return { host: target.host ?? '127.0.0.1', port: target.port }
  }
  const url = new URL(String(target))
  const secure = url.protocol === 'https:' || url.protocol === 'wss:'
  return {
    host: url.hostname.replaceAll(/[[\]]/g, ''), // [::1] in a URL is ::1 to a socket
    port: url.port === '' ? (secure ? 443 : 80) : Number(url.port),
  }
}

function positive(name: string, value: number): number {
  if (value > 0) return value
  throw new RangeError(`${name} is ${value}; pass a positive number, or Infinity for no limit.`)
}
