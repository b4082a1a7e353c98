/** Reads the head of a connection's first request, to tell an upgrade from plain HTTP. */
import type { Socket } from 'node:net'

/** What an upgrade gets: an HTTP status, a reset, or nothing at all for as long as it waits. */
export type UpgradeAnswer = number | 'drop' | 'silence'

const maxHeadBytes = 64 * 1024
const endOfHead = '\r\n\r\n'

/**
 * Whether the first request on the socket asks for an upgrade; null if the socket ended before that was known.
 * The bytes read are put back, so that whoever takes the socket next sees all of them.
 */
export function asksForUpgrade(socket: Socket): Promise<boolean | null> {
  return new Promise(resolve => {
    const chunks: Buffer[] = []
    const settle = (answer: boolean | null) => {
      socket.off('readable', look)
      socket.off('close', gone)
      socket.off('end', gone)
      resolve(answer)
    }
    const gone = () => settle(null)
    const look = () => {
      for (let chunk: Buffer | null = socket.read(); chunk; chunk = socket.read()) chunks.push(chunk)
      const bytes = Buffer.concat(chunks)
      const text = bytes.toString('latin1')
      if (!text.includes(endOfHead) && bytes.length < maxHeadBytes) return
      socket.unshift(bytes)
      const head = text.slice(0, text.indexOf(endOfHead) + 2)
      settle(/\r\nupgrade:/i.test(head))
    }
    socket.on('readable', look)
    socket.once('close', gone)
    socket.once('end', gone)
    look()
  })
}

/** A response that ends the connection, as a proxy without WebSockets would send it. */
export function refusal(status: number): string {
  return `HTTP/1.1 ${status} Refused by the fault proxy\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`
}
