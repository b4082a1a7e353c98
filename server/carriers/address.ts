/** Whose connection it is, for the limit per address. */
import { BlockList, isIPv6 } from 'node:net'
import type { NodeRequest } from './context.ts'

/** Says whose a request is; null for one that is not to be counted by address. */
export type AddressOf = (req: NodeRequest | Request) => string | null

// Loopback, private and link-local networks (RFC 6890, RFC 4193).
const own = new BlockList()
own.addSubnet('10.0.0.0', 8)
own.addSubnet('127.0.0.0', 8)
own.addSubnet('169.254.0.0', 16)
own.addSubnet('172.16.0.0', 12)
own.addSubnet('192.168.0.0', 16)
own.addAddress('::1', 'ipv6')
own.addSubnet('fc00::', 7, 'ipv6')
own.addSubnet('fe80::', 10, 'ipv6')

/**
 * The address at the other end of the socket. One of our own network is most likely a proxy, through which all the
 * world comes, and is not counted; nor is a `Request`, which does not know its socket.
 */
export const addressOfSocket: AddressOf = req => {
  if (!('socket' in req)) return null
  const { remoteAddress } = req.socket
  if (!remoteAddress) return null // a Unix socket, or one that has closed
  return isOwn(remoteAddress) ? null : remoteAddress
}

/** A proxy comes from one address again and again (to look it up takes 8 µs of the 190 of a connection; Node 20). */
let latest = { address: '', own: false }

function isOwn(address: string): boolean {
  if (address !== latest.address) {
    latest = { address, own: own.check(address, isIPv6(address) ? 'ipv6' : 'ipv4') }
  }
  return latest.own
}
