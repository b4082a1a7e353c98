/**
 * One run at work on this node: pulls the handler's generator, writes what it yields, and writes how it ended.
 *
 * The terminal state is a record of the log like any other, so that no viewer hangs. Only one thing leaves a log
 * without it: the death of this process, or the loss of the log to another node; then whoever looks next writes
 * `interrupted` (reaper.ts).
 */
import { isSluiceError, SluiceError, toError } from '../../../shared/errors.ts'
import type { Clock, Timer } from '../../../shared/clock.ts'
import '../../../shared/scope.ts'
import type { RunOutcome } from '../../../shared/items.ts'
import type { RunWriter } from './writer.ts'

export interface ExecutionOptions {
  readonly id: string
  /** Calls the handler. What it throws is a failure of the run. */
  open(): AsyncIterable<unknown, unknown, undefined>
  /** Aborted to stop the run; the same signal that the handler was given. */
  readonly controller: AbortController
  readonly writer: RunWriter
  readonly parseEvent: (value: unknown) => Promise<unknown>
  readonly parseResult: (value: unknown) => Promise<unknown>
  /** A stopped generator may take so long to finish. */
  readonly graceMs: number
  readonly clock: Clock
  readonly onError: (error: Error) => void
}

/** Why a run's signal was aborted. */
export type AbortReason = 'stopped' | 'lost'

/** Runs to the end. Never rejects: what goes wrong ends the run and goes to `onError`. */
export async function execute(options: ExecutionOptions): Promise<void> {
  const { controller, writer, onError } = options
  using patience = limitPatience(options)
  const outcome = await Promise.race([drive(options), patience.spent])
  // The log belongs to somebody else now, who has written its end.
  if (controller.signal.reason === ('lost' satisfies AbortReason)) return
  try {
    await writer.end(['end', outcome])
  } catch (thrown) {
    onError(toError(thrown))
  }
}

async function drive({ open, controller, writer, parseEvent, parseResult, onError }: ExecutionOptions) {
  const { signal } = controller
  if (signal.aborted) return stopped // before it has begun
  try {
    const iterator = open()[Symbol.asyncIterator]()
    try {
      for (;;) {
        const next = await iterator.next()
        if (signal.aborted) return stopped
        if (next.done) return { status: 'done', result: await parseResult(next.value) } satisfies RunOutcome
        await writer.write(['event', await parseEvent(next.value)])
      }
    } finally {
      // A generator that has finished already answers at once.
      await iterator.return?.()
    }
  } catch (thrown) {
    if (signal.aborted) return stopped
    onError(toError(thrown))
    return { status: 'failed', error: describeFailure(thrown) } satisfies RunOutcome
  }
}

const stopped = { status: 'stopped' } as const satisfies RunOutcome

/** Gives a generator that was told to stop its grace period: `spent` settles when that has passed. */
function limitPatience({ id, controller, clock, graceMs, onError }: ExecutionOptions) {
  let timer: Timer | null = null
  let wait = () => {}
  const spent = new Promise<RunOutcome>(resolve => {
    wait = () => {
      timer = clock.after(graceMs, () => {
        const message = `Run "${id}" was told to stop and did not within ${graceMs} ms. Pass its signal on, or wrap what it waits for in withSignal().`
        onError(new SluiceError('OVERSTAYED', message))
        resolve(stopped)
      })
    }
  })
  controller.signal.addEventListener('abort', wait, { once: true })
  return {
    spent,
    [Symbol.dispose]() {
      timer?.cancel()
      controller.signal.removeEventListener('abort', wait)
    },
  }
}

/** What viewers may know: an error made for clients says so by its class; any other stays with the server. */
function describeFailure(thrown: unknown): { code: string; message: string } {
  const forClients = isSluiceError(thrown) || (thrown instanceof Error && thrown.name === 'TRPCError')
  if (forClients && 'code' in thrown) return { code: String(thrown.code), message: thrown.message }
  return { code: 'INTERNAL_SERVER_ERROR', message: 'The run failed.' }
}
