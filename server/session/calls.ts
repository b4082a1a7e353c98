/** A query or a mutation over a connection with many requests, from its call to its answer. */
import { TRPCError } from '@trpc/server'
import type { CallObservers } from '../observe/calls.ts'
import type { ErrorDesk } from '../procedures/present-error.ts'
import type { Answers } from './answers.ts'
import type { Task } from './task.ts'

/** Never rejects: what fails is told. */
export async function answerCall(
  task: Task,
  answers: Answers,
  { desk, observers }: { readonly desk: ErrorDesk; readonly observers: CallObservers },
): Promise<void> {
  const observation = observers.begin(task.origin())
  let failure: unknown = null
  try {
    // As in tRPC, a call outlives its socket: the signal is never aborted.
    const result = await observation.run(() => task.invoke(new AbortController().signal))
    answers.data(refuseStream(result, task.origin().type))
  } catch (thrown) {
    failure = thrown
    answers.error(desk.handle(thrown, task.origin()))
  } finally {
    observation.end(failure)
  }
}

function refuseStream(result: unknown, type: string): unknown {
  const isStream =
    typeof result === 'object' && result !== null && (Symbol.asyncIterator in result || 'subscribe' in result)
  if (!isStream) return result
  throw new TRPCError({
    code: 'UNSUPPORTED_MEDIA_TYPE',
    message: `Cannot return an async iterable or observable from a ${type} procedure with WebSockets`,
  })
}
