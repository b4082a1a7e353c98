/**
 * Subscriptions over streamed HTTP responses, one for each, exactly as tRPC's own client asks for them. The transport
 * is open when one of them is connected, or when none is wanted; it is lost with the last of them. A stream that
 * breaks beside others that go on is merely interrupted.
 */
import type { RequestId } from '../../shared/protocol/messages.ts'
import { SluiceError } from '../../shared/errors.ts'
import { climbing, type LesserTransport } from '../connection/climber.ts'
import type { ResolvedOptions } from '../options.ts'
import { goesAsJson } from './json-input.ts'
import { openSseStream, type SseStream } from './sse-stream.ts'
import type { Loss, TransportReports } from './transport.ts'

/** Who uses this looks for something better. */
export const open = climbing('sse', openSse)

function openSse(options: ResolvedOptions, reports: TransportReports): LesserTransport {
  const streams = new Map<RequestId, SseStream>()
  let opened = false
  let heard = false
  let told = false
  let over = false

  const report = () => {
    if (opened || over) return
    opened = true
    reports.opened()
    tellHeard()
  }

  /** What was heard counts once the transport is open, and is told once. */
  const tellHeard = () => {
    if (told || !heard || !opened || over) return
    told = true
    reports.heard()
  }

  const openIfQuiet = () => {
    if (streams.size === 0) report()
  }

  /** This stream is over, by our wish or by the server's last word. */
  const forget = (id: RequestId) => {
    streams.delete(id)
    openIfQuiet()
  }

  const interrupted = (id: RequestId, loss: Loss) => {
    if (over) return
    streams.delete(id)
    // What one of them cannot have here, no other can.
    if (streams.size > 0 && !loss.unsupported) reports.interrupted([id], loss)
    else lose(loss)
  }

  const lose = (loss: Loss) => {
    close()
    reports.lost(loss)
  }

  const close = () => {
    over = true
    for (const stream of streams.values()) stream.close()
    streams.clear()
  }

  // After whoever made us has asked for what is wanted.
  queueMicrotask(openIfQuiet)

  return {
    kind: 'sse',
    request: null, // queries and mutations are HTTP requests of their own
    subscribe(asked) {
      if (over || !goesAsJson(asked, options, reports)) return
      const { id } = asked
      const stream = openSseStream(options, asked, {
        connected: report,
        heard() {
          heard = true
          tellHeard()
        },
        received(message) {
          if (!over) reports.received(message)
        },
        ended(last) {
          forget(id)
          if (!over) reports.received(last)
        },
        lost: loss => interrupted(id, loss),
      })
      streams.set(id, stream)
    },
    unsubscribe(id) {
      streams.get(id)?.close()
      forget(id)
    },
    /** Nothing can be asked over a response. So a change of the network, which kills most, costs all of them. */
    probe(hint, withinMs) {
      if (over) return
      if (hint === 'visible') {
        for (const stream of streams.values()) stream.check(withinMs)
      } else if (streams.size > 0) {
        const why = new SluiceError('CONNECTION_LOST', 'The network changed; the streams are opened anew.')
        lose({ why, atOnce: true })
      }
    },
    movable: () => [...streams.values()].every(stream => stream.movable()),
    close,
  }
}
