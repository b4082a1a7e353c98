import type { Duplex } from 'node:stream'

/** Of no stable interface. */
interface Handle {
  readonly bytesWritten?: number
  readonly writeQueueSize?: number
  /** Of a TLS socket: that of the one below, which tells how much of a piece has left. */
  readonly _parent?: Handle
}

/** How many bytes a socket has passed on to the kernel. */
export function takenBytes(socket: Duplex & { readonly bytesWritten?: number }): number {
  const { _handle: own } = socket as { readonly _handle?: Handle | null }
  const { bytesWritten, writeQueueSize } = own?._parent ?? own ?? {}
  if (bytesWritten !== undefined && writeQueueSize !== undefined) return bytesWritten - writeQueueSize
  // A piece counts once it is done with, and not what of it has left.
  return (socket.bytesWritten ?? 0) - socket.writableLength
}
