/**
 * Until a server has said its first word, a client does not know whether it has the codec, and speaks JSON. What JSON
 * would not carry as it is waits for that word, and so does what is asked for after it. A server that has the codec says
 * it at once; from any other one a ping elicits it, within a second. Then all of it goes the way it can.
 *
 * The codec brings this along, and not the transport: who has no codec does not load it. Wire: docs/wire.md, section 4.
 */
import type { RequestId } from '../protocol/messages.ts'

/** What a client's transport is asked for, as far as it matters here. */
interface Asked {
  readonly id: RequestId
  /** As the codec carries it (`own`), or JSON. */
  readonly input: (own: boolean) => unknown
}

/** A client's transport, as far as it matters here; whatever else it asks of what it is asked for. */
export interface Askable {
  readonly request: ((asked: never) => void) | null
  subscribe(asked: never): void
  unsubscribe(id: RequestId): void
}

/** To whom it reports. */
export interface Listener {
  /** The first word has come; it is read before the next microtask. */
  heard(): void
  received(message: never): void
}

/** Makes of a way to open a transport one that has what only a codec can carry wait for the server's first word. */
export function holdForFirstWord<Options, Reports extends Listener, Transport extends Askable>(
  open: (options: Options, reports: Reports) => Transport,
): (options: Options, reports: Reports) => Transport {
  return (options, reports) => {
    /** Null once the word has come. By the id of what is asked for, in its order. */
    let held: Map<RequestId, () => void> | null = new Map()

    /** What not even JSON can carry is answered by an error like any other. */
    const orFail = (id: RequestId, go: () => void) => {
      try {
        go()
      } catch (error) {
        reports.received({ type: 'error', id, error } as never)
      }
    }

    const release = () => {
      const all = held ?? new Map<RequestId, () => void>()
      held = null
      for (const [id, go] of all) orFail(id, go)
    }

    const transport = open(options, {
      ...reports,
      heard() {
        reports.heard()
        queueMicrotask(release)
      },
    })

    const holding = (go: (asked: never) => void) => (asked: Asked) => {
      const ask = () => go(asked as never)
      if (held && (held.size > 0 || !isCarriedByJson(asked.input(false)))) held.set(asked.id, ask)
      else ask()
    }
    const subscribe = holding(asked => transport.subscribe(asked))

    return {
      ...transport,
      request: transport.request && holding(transport.request),
      subscribe: (asked: Asked) => orFail(asked.id, () => subscribe(asked)),
      unsubscribe(id: RequestId) {
        if (!held?.delete(id)) transport.unsubscribe(id)
      },
    }
  }
}

/** Deeper, it is refused anyhow; or it is a circle, of which JSON.stringify says so. */
const maxDepth = 500

/** Whether a value comes out of JSON as it went in; but for what is undefined in an object, which is left out. */
function isCarriedByJson(value: unknown, depth = 0): boolean {
  if (typeof value === 'bigint') return false
  if (typeof value === 'number') return Number.isFinite(value)
  if (typeof value !== 'object' || value === null || depth > maxDepth) return true
  if (Array.isArray(value)) {
    return value.every(element => element !== undefined && isCarriedByJson(element, depth + 1))
  }
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== null && prototype !== Object.prototype) return false
  return Object.values(value).every(member => isCarriedByJson(member, depth + 1))
}
