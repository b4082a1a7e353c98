/** One answer of a language model, through the `openai` SDK, and what can go wrong with it in words of ours. */
import { TRPCError } from '@trpc/server'
import type OpenAI from 'openai'
import { APIConnectionError, APIConnectionTimeoutError, APIError, APIUserAbortError } from 'openai'
import type { ChatCompletionMessageParam } from 'openai/resources/chat/completions'
import { closing } from 'trpc-sluice/shared'
import type { EndpointFailure } from '../shared/schemas.ts'

export interface CompletionRequest {
  readonly openai: OpenAI
  readonly model: string
  readonly messages: ChatCompletionMessageParam[]
  readonly signal: AbortSignal
}

/**
 * The pieces of an answer as they come; returns why it ended.
 *
 * @throws CompletionError when the endpoint is down, refuses, falls silent, or cuts the answer off.
 */
export async function* complete(request: CompletionRequest): AsyncGenerator<string, 'stop' | 'length', void> {
  const { openai, model, messages, signal } = request
  let begun = false
  try {
    const stream = await openai.chat.completions.create({ model, messages, stream: true }, { signal })
    await using chunks = closing(stream)
    for await (const { choices } of chunks) {
      const choice = choices[0]
      begun ||= choice !== undefined
      if (choice?.delta.content) yield choice.delta.content
      if (choice?.finish_reason) return choice.finish_reason === 'length' ? 'length' : 'stop'
    }
  } catch (thrown) {
    throw toCompletionError(thrown, openai, begun)
  }
  signal.throwIfAborted()
  // The connection was closed politely, but the model never said that it had finished.
  throw cutOff(openai)
}

/** A failure of the model's endpoint. Its message is for the person who asked: it names no key and no inner error. */
export class CompletionError extends TRPCError {
  constructor(code: EndpointFailure, message: string, cause?: unknown) {
    super({ code, message, cause })
  }
}

function toCompletionError(thrown: unknown, openai: OpenAI, begun: boolean): unknown {
  // Stopped by us: not a failure of the endpoint.
  if (thrown instanceof APIUserAbortError) return thrown
  const host = hostOf(openai)
  if (thrown instanceof APIConnectionTimeoutError) {
    return new CompletionError('GATEWAY_TIMEOUT', `${host} did not answer in time.`, thrown)
  }
  if (begun) return cutOff(openai, thrown)
  if (thrown instanceof APIConnectionError) {
    const message = `${host} could not be reached. Is the server of the model running?`
    return new CompletionError('SERVICE_UNAVAILABLE', message, thrown)
  }
  if (!(thrown instanceof APIError) || thrown.status === undefined) return cutOff(openai, thrown)
  const { code, why } = refusals[thrown.status] ?? (thrown.status < 500 ? otherRefusal : brokenEndpoint)
  return new CompletionError(code, `${host} answered with ${thrown.status}: ${why}.`, thrown)
}

interface Refusal {
  readonly code: EndpointFailure
  readonly why: string
}
const refusals: Readonly<Record<number, Refusal>> = {
  401: { code: 'UNAUTHORIZED', why: 'it does not accept the API key' },
  403: { code: 'FORBIDDEN', why: 'the API key does not allow this' },
  404: { code: 'NOT_FOUND', why: 'it does not know this address or this model' },
  429: { code: 'TOO_MANY_REQUESTS', why: 'too many requests, or the quota is used up' },
}
const otherRefusal: Refusal = { code: 'BAD_REQUEST', why: 'it does not understand the request' }
const brokenEndpoint: Refusal = { code: 'BAD_GATEWAY', why: 'it has a problem of its own' }

function cutOff(openai: OpenAI, cause?: unknown): CompletionError {
  return new CompletionError(
    'BAD_GATEWAY',
    `${hostOf(openai)} ended the answer before it was complete.`,
    cause,
  )
}

/** Without path and credentials: what may be shown to anybody. */
function hostOf({ baseURL }: OpenAI): string {
  return URL.canParse(baseURL) ? new URL(baseURL).host : 'The endpoint'
}
