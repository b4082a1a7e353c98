/** A subscription with a recorder on it. */
import type { Unsubscribable } from '@trpc/server/observable'
import type { ConnectionState } from '../../client/connection/machine.ts'
import type { EventOf, SubscriptionProcedure } from '../../client/subscriptions/iterate.ts'
import { createRecorder } from './recorder.ts'
import type { Recorder, RecorderOptions } from './recorder.ts'

export type RecordOptions<Item> = Pick<RecorderOptions<Item>, 'numberOf'>

export interface Recording<Item> extends Recorder<Item>, Disposable {
  /**
   * Settles when the server has first said that the subscription has started: what is published from then on will
   * come. Rejects if it fails before.
   */
  readonly started: Promise<void>
  /** The error that ended the subscription; null if none has. */
  readonly error: Error | null
  /** Unsubscribes. What was recorded stays. */
  stop(): void
}

/** Subscribes at once, so that no item slips by between two lines of a test. */
export function record<P extends SubscriptionProcedure>(
  procedure: P,
  input: unknown, // RecordFunction has seen to it that the procedure takes it
  options: RecorderOptions<EventOf<P>>,
): Recording<EventOf<P>> {
  const recorder = createRecorder<EventOf<P>>(options)
  let failure: Error | null = null
  let start: () => void
  let fail: (error: Error) => void
  const started = new Promise<void>((resolve, reject) => {
    start = resolve
    fail = reject
  })
  started.catch(() => {}) // whoever does not wait for it hears of the failure from until()
  const observer = {
    onStarted: () => start(),
    onData: recorder.push,
    onError(error: Error) {
      failure = error
      fail(error)
      recorder.end(error)
    },
    onComplete() {
      fail(new Error('The subscription has ended.')) // no effect if it had started
      recorder.end()
    },
  }
  // The procedure's own types were taken apart above; here they are put together again.
  const typed = procedure as { subscribe(input: unknown, options: typeof observer): Unsubscribable }
  const subscription = typed.subscribe(input, observer)
  const stop = () => subscription.unsubscribe()
  return {
    ...recorder,
    started,
    get error() {
      return failure
    },
    stop,
    [Symbol.dispose]: stop,
  }
}

/** The state of a connection in words, for the message of a missed deadline. */
export function describeConnection(state: ConnectionState): string {
  switch (state.at) {
    case 'idle':
      return 'connection idle'
    case 'opening':
      return `connection opening by ${state.transport}, attempt ${state.attempt}`
    case 'ready':
      return `connection ready by ${state.transport}`
    case 'waiting':
      return `connection waiting, attempt ${state.attempt}: ${state.why.message}`
    case 'closed':
      return `connection closed: ${state.why.message}`
  }
}
