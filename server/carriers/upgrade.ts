/** All that is checked before a WebSocket exists: whose path it is, whether we still accept, and the origin. */
import type { EventEmitter } from 'node:events'
import { STATUS_CODES, type IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { WebSocketServer, type WebSocket } from 'ws'
import type { Clock } from '../../shared/clock.ts'
import { errorTable, quote, type SluiceErrorCode } from '../../shared/errors.ts'
import { countRefusal, type Counters } from '../observe/counters.ts'
import type { AddressOf } from './address.ts'
import { pathBelow, retryAfterSeconds } from './request.ts'
import { OwnWebSocket } from './ws.ts'

/**
 * Which pages may open a WebSocket: a list of origins, `'*'` for all, or a function.
 *
 * Browsers let any page open a WebSocket to any host, with that host's cookies, so somebody has to ask.
 */
export type AllowedOrigins = readonly string[] | '*' | ((origin: string, req: IncomingMessage) => boolean)

export interface UpgradeDeps {
  readonly basePath: string
  readonly allowedOrigins: AllowedOrigins | undefined
  readonly maxMessageBytes: number
  readonly maxFragments: number
  /** Whether frames may be deflated, both ways. */
  readonly deflate: boolean
  readonly counters: Counters
  readonly clock: Clock
  isDraining(): boolean
  /** Why there is no room for this connection; null if there is. */
  crowded(address: string | null): SluiceErrorCode | null
  readonly addressOf: AddressOf
  accept(socket: WebSocket, req: IncomingMessage, address: string | null): void
  /** Told when the application's own check throws, which refuses the page. */
  report(error: unknown, req: IncomingMessage): void
}

/** A frame depends on none before it: so it can be shared, and a quiet connection keeps no window for its next one. */
const noContextTakeover = { serverNoContextTakeover: true, clientNoContextTakeover: true }

/** How long a peer may take to take a refusal, in milliseconds. */
const refusalMs = 1_000

export type UpgradeHandler = (req: IncomingMessage, socket: Duplex, head: Buffer) => void

export function createUpgradeHandler(deps: UpgradeDeps): UpgradeHandler {
  const wss = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    WebSocket: OwnWebSocket,
    maxPayload: deps.maxMessageBytes,
    maxFragments: deps.maxFragments,
    autoPong: false, // as `ws` does it, 60 pings in one read end the connection
    perMessageDeflate: deps.deflate && noContextTakeover,
  })
  const refuseWith = (code: SluiceErrorCode, socket: Duplex, message: string) => {
    countRefusal(deps.counters, code)
    refuse(socket, errorTable[code].status, message, deps.clock)
  }
  return (req, socket, head) => {
    if (!isBelow(deps.basePath, req)) {
      // Another listener may be waiting for this path. If there is none, nobody would ever answer.
      if (isOnlyListener(socket)) {
        refuse(socket, 404, 'There is no WebSocket at this path.', deps.clock)
      }
      return
    }
    if (deps.isDraining()) return refuseWith('DRAINING', socket, 'This server is going away. Connect again.')
    if (!isAllowed(req, deps)) {
      const message = `Pages of ${quote(req.headers.origin)} may not connect here. ${errorTable.ORIGIN_FORBIDDEN.help}`
      return refuseWith('ORIGIN_FORBIDDEN', socket, message)
    }
    const address = deps.addressOf(req)
    const crowded = deps.crowded(address)
    if (crowded) return refuseWith(crowded, socket, `No room: ${errorTable[crowded].help}`)
    let isAccepted = false
    wss.handleUpgrade(req, socket, head, accepted => {
      isAccepted = true
      deps.accept(accepted, req, address)
    })
    if (!isAccepted) endSoon(socket, deps.clock)
  }
}

function isAllowed(req: IncomingMessage, deps: UpgradeDeps): boolean {
  try {
    return isOriginAllowed(req.headers.origin, req, deps.allowedOrigins)
  } catch (thrown) {
    deps.report(thrown, req)
    return false
  }
}

/** Without a list, the page must come from the host that it connects to. What is no browser sends no origin. */
function isOriginAllowed(
  origin: string | undefined,
  req: IncomingMessage,
  allowed: AllowedOrigins | undefined,
): boolean {
  if (origin === undefined || allowed === '*') return true
  if (typeof allowed === 'function') return allowed(origin, req)
  if (allowed) return allowed.includes(origin)
  try {
    return new URL(origin).host === req.headers.host?.toLowerCase()
  } catch {
    return false // `null`: a sandboxed frame, or a file
  }
}

function isBelow(basePath: string, req: IncomingMessage): boolean {
  const [path = '/'] = (req.url ?? '/').split('?', 1)
  return pathBelow(basePath, path) !== null
}

function isOnlyListener(socket: Duplex): boolean {
  const { server } = socket as { server?: EventEmitter } // set by Node's http on each of its sockets
  return (server?.listenerCount('upgrade') ?? 1) <= 1
}

/**
 * Sees to it that the socket of a refused upgrade goes, once the answer is on its way. Node has let go of it: it stays
 * half open, whatever its peer does, and neither a timeout nor the end of the server would reach it.
 */
function endSoon(socket: Duplex, clock: Clock): void {
  socket.once('finish', () => socket.destroy())
  const cutOff = clock.after(refusalMs, () => socket.destroy())
  socket.once('close', () => cutOff.cancel())
}

function refuse(socket: Duplex, status: number, message: string, clock: Clock): void {
  socket.on('error', () => {}) // the peer may be gone before it has read the answer
  endSoon(socket, clock)
  const body = `${message}\n`
  const passes = status === 429 || status === 503
  socket.end(
    [
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
      'Connection: close',
      ...(passes ? [`Retry-After: ${retryAfterSeconds}`] : []),
      'Content-Type: text/plain; charset=utf-8',
      `Content-Length: ${Buffer.byteLength(body)}`,
      '',
      body,
    ].join('\r\n'),
  )
}
