/** What a server writes, as it is written: how often it asks the operating system, and what of it is the carrier's. */
import type { Server } from 'node:net'
import type { Socket } from 'node:net'

export interface Writes {
  /** By the port of the peer. */
  readonly counts: ReadonlyMap<number, number>
  reset(): void
}

/** Counts what the operating system is asked to write, whichever way the server has of asking. */
export function countWrites(server: Server): Writes {
  const counts = new Map<number, number>()
  server.on('connection', (socket: Socket) => {
    const port = socket.remotePort as number // it has just connected
    counts.set(port, 0)
    // Below `write`, which may be corked, there is only the handle; Node has no public word for it.
    const { _handle: handle } = socket as unknown as { _handle: Record<string, unknown> }
    for (const name of [
      'writeBuffer',
      'writev',
      'writeUtf8String',
      'writeAsciiString',
      'writeLatin1String',
    ]) {
      const write = handle[name] as (...args: unknown[]) => unknown
      handle[name] = (...args: unknown[]) => {
        counts.set(port, (counts.get(port) ?? 0) + 1)
        return write.apply(handle, args)
      }
    }
  })
  return {
    counts,
    reset() {
      for (const port of counts.keys()) counts.set(port, 0)
    },
  }
}

/** The body of a response: without the head, which tells the time, and without the sizes of its chunks. */
export function toBody(received: Buffer): Buffer {
  const body = received.subarray(received.indexOf('\r\n\r\n') + 4)
  return Buffer.from(body.toString().replaceAll(/(^|\r\n)[0-9a-f]+\r\n/g, ''))
}
