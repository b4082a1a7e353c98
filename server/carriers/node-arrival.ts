/** How long a request of Node's may take to arrive, over `node:http` and `node:http2` alike. */
import { toTRPCError } from '../procedures/present-error.ts'
import { cancelled, cutOff, noError } from './body.ts'
import type { NodeRequest, NodeResponse } from './context.ts'
import { refuse as reply } from './host.ts'
import type { HttpDeps } from './http.ts'
import { NodeHost } from './node-host.ts'

/** How long a client may take for the answer to a request that was too slow, in milliseconds. */
const lingerMs = 2_000

/** Sees to it that the body of a request is here in time, or answers it with 408, and cuts it off. */
export function expectBody(req: NodeRequest, res: NodeResponse, deps: HttpDeps): void {
  if (!bringsBody(req)) return
  const arrival = deps.arrivals.expect(() => {
    if (!hasArrived(req)) refuse(req, res, deps)
  })
  req.on('close', () => arrival.unlink())
  // Node lets one that breaks off end as if it were whole.
  if ('stream' in req) req.on('aborted', () => req.destroy())
}

function bringsBody(req: NodeRequest): boolean {
  if (req.complete) return false // somebody has read it before us
  if ('stream' in req) return !req.stream.endAfterHeaders
  const { 'content-length': length, 'transfer-encoding': coding } = req.headers
  return coding !== undefined || (length !== undefined && length !== '0')
}

/** All of it, whether or not somebody has read it. */
function hasArrived(req: NodeRequest): boolean {
  return req.complete || ('stream' in req && req.stream.state.remoteClose === 1)
}

function refuse(req: NodeRequest, res: NodeResponse, deps: HttpDeps): void {
  const error = toTRPCError(deps.arrivals.refuse())
  // tRPC's adapter may yet write to the response, or read the request.
  req.on('error', ignore)
  res.on('error', ignore)
  if (res.headersSent) return cutOff(req, cancelled)
  if ('stream' in res) {
    // Else its end would be taken for the end of the body.
    req.destroy()
  } else res.shouldKeepAlive = false
  reply(new NodeHost(req, res, deps), error, deps, { type: 'unknown' })
  // Not before the answer has been sent: a stream is closed once.
  if ('stream' in res) res.stream.once('finish', () => res.stream.close(noError))
  const timer = deps.clock.after(lingerMs, () => cutOff(req, cancelled))
  res.once('close', () => {
    timer.cancel()
    req.destroy() // of which Node does not tell its reader once there is an answer
  })
}

function ignore(): void {}
