/**
 * One subscription of the application: a cursor that outlives transports, and an observer. It knows nothing of
 * sockets and timers; the registry asks for it again whenever that is needed.
 */
import { TRPCClientError } from '@trpc/client'
import type { OperationResultEnvelope } from '@trpc/client'
import type { AnyRouter } from '@trpc/server'
import type { Observer } from '@trpc/server/observable'
import { toError, type SluiceError } from '../../shared/errors.ts'
import type { RequestId } from '../../shared/protocol/messages.ts'
import { toText } from '../transports/decode.ts'
import type { AskedSubscription, ClientError, ReceivedEvent } from '../transports/transport.ts'
import type { Consumer } from './consumer.ts'
import type { Flow } from './inbox.ts'
import { createRepeats } from './repeats.ts'

/** What a link's observer receives: exactly what tRPC's own links give it. */
export type ResultObserver = Observer<OperationResultEnvelope<unknown, ClientError>, ClientError>

export interface SubscriptionOptions extends Consumer {
  readonly path: string
  /** What the application passed: an id to begin after is looked for in it. */
  readonly input: unknown
  /** The same through the transformer. */
  readonly serialized: unknown
  readonly observer: ResultObserver
  /** Where it stands, and whether the server may have begun it: for one that another tab has had before. */
  readonly cursor?: string | undefined
  readonly again?: boolean
  /** Takes what a callback of the application throws. */
  readonly onError: (error: Error) => void
}

export interface Subscription {
  /** Where it stands: the last event that was handed over, or else where it began. */
  readonly cursor: string | undefined
  /** The room of its consumer, where that says how much it can take. */
  readonly flow: Flow | undefined
  /** True when asking for it again brings what comes after the last event that was received. */
  readonly resumable: boolean
  /** The request for it as things stand now, under an id of its own: what is late for an earlier one finds nobody. */
  ask(id: RequestId): AskedSubscription
  /** That holds no more. @param sent whether it had been sent, so that the server may have begun. */
  unasked(sent: boolean): void
  /** It waits for a connection, the first or another. */
  connecting(why: SluiceError | ClientError | null): void
  started(position: string | undefined): void
  next(event: ReceivedEvent): void
  /** The server says how far behind it is. */
  lagging(lag: unknown): void
  /** The server has nothing more to say. */
  stopped(): void
  /** The application, or the link as a whole, wants no more. */
  complete(): void
  fail(error: ClientError | SluiceError): void
  /** The application has left: nobody is told anything any more. */
  leave(): void
}

type Result = Parameters<ResultObserver['next']>[0]['result']

export function createSubscription(options: SubscriptionOptions): Subscription {
  const { path, input, serialized, observer, flow, onLag, onError } = options
  const repeats = createRepeats()
  let { cursor = lastEventIdOf(input), again = false } = options
  let received = false
  let over = false

  /** A callback that throws is the application's error, and must not cost the others in the same frame theirs. */
  const deliver = (tell: () => void) => {
    if (over) return
    try {
      tell()
    } catch (thrown) {
      onError(toError(thrown))
    }
  }
  const tell = (result: Result) => deliver(() => observer.next({ result }))
  const end = (last: () => void) =>
    deliver(() => {
      over = true
      last()
    })
  const complete = () => end(() => observer.complete())

  const next = ({ data, eventId: id }: ReceivedEvent) => {
    if (id === undefined) return tell({ type: 'data', data })
    if (repeats.isRepeat(id)) return
    // Before the event is handed over: a connection that is lost meanwhile must not bring it again.
    cursor = id
    received = true
    tell({ type: 'data', id, data })
  }

  return {
    get cursor() {
      return cursor
    },
    flow,
    get resumable() {
      return received
    },
    ask(id) {
      repeats.expect()
      return {
        id,
        kind: 'subscription',
        path,
        input: own => (own ? input : serialized),
        flow,
        wish: () => ({
          ...(cursor !== undefined && { lastEventId: cursor }),
          ...(again && { again }),
          ...(onLag && { lag: true }),
        }),
        askAgain: repeats.expect,
      }
    },
    unasked(sent) {
      again ||= sent
      flow?.unheeded()
    },
    connecting(why) {
      tell({ type: 'state', state: 'connecting', error: why && TRPCClientError.from<AnyRouter>(why) })
    },
    started(position) {
      // A quiet subscription resumes from where it began; one that has received something knows better.
      if (!received && position !== undefined) cursor = position
      tell({ type: 'started' })
      tell({ type: 'state', state: 'pending', error: null })
    },
    next(event) {
      if (flow) flow.receive(event.size, () => next(event))
      else next(event)
    },
    lagging: lag => deliver(() => onLag?.(lag)),
    stopped() {
      tell({ type: 'stopped' })
      tell({ type: 'state', state: 'idle', error: null })
      complete()
    },
    complete,
    fail: error => end(() => observer.error(TRPCClientError.from(error))),
    leave() {
      over = true
    },
  }
}

function lastEventIdOf(input: unknown): string | undefined {
  const { lastEventId } = Object(input) as { lastEventId?: unknown } // of what is no object: undefined
  return toText(lastEventId) || undefined // an empty one is none
}
