/** Node's HTTP/2, every write of which is counted: below JavaScript it goes past a socket's own, so it is given ours. */
import http2, { type Http2Server } from 'node:http2'
import { createServer, type Server, type Socket } from 'node:net'
import { Duplex } from 'node:stream'
import type { Sluice } from 'trpc-sluice/server'

export interface CountedHttp2 {
  readonly server: Server
  /** By connection, in the order in which they came. */
  readonly counts: number[]
  close(): Promise<void>
}

export function countHttp2Writes(sluice: Sluice): CountedHttp2 {
  const inner: Http2Server = http2.createServer(sluice.node)
  const counts: number[] = []
  const sockets: Socket[] = []
  const server = createServer(socket => {
    const index = counts.push(0) - 1
    sockets.push(socket)
    inner.emit(
      'connection',
      toDuplex(socket, () => (counts[index] = (counts[index] ?? 0) + 1)),
    )
  })
  return {
    server,
    counts,
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise(resolve => server.close(resolve))
    },
  }
}

function toDuplex(socket: Socket, wrote: () => void): Duplex {
  const duplex = new Duplex({
    read: () => void socket.resume(),
    write(chunk: Buffer, _, done) {
      wrote()
      socket.write(chunk, done)
    },
    writev(chunks, done) {
      wrote()
      socket.write(Buffer.concat(chunks.map(({ chunk }) => chunk as Buffer)), done)
    },
    final: done => void socket.end(done),
    destroy(error, done) {
      socket.destroy()
      done(error)
    },
  })
  socket.on('data', (chunk: Buffer) => duplex.push(chunk) || socket.pause())
  socket.on('end', () => duplex.push(null))
  socket.on('error', error => duplex.destroy(error))
  socket.on('close', () => duplex.destroy())
  duplex.on('error', () => {}) // the peer is gone, which `close` tells of
  return duplex
}
