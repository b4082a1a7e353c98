/**
 * The embedded model behind OpenAI's chat-completions protocol, on a port of this machine only: so the assistant
 * talks to it through the same `openai` SDK, and the same lines of code, as to any real endpoint.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import { ChatRequest, questionOf } from './chat-request.ts'
import type { LanguageModel } from './language-model.ts'
import { toTokens } from './tokens.ts'

/** The name by which requests ask for the model. */
export const embeddedModelName = 'sluice-words'

export interface EndpointOptions {
  readonly model: Pick<LanguageModel, 'generate'>
  /** The pace of an answer, for people to read along. Default 35. */
  readonly tokensPerSecond?: number
  /** Port on the loopback address; default 0, any free one. */
  readonly port?: number
}

export interface Endpoint extends AsyncDisposable {
  /** What `OPENAI_BASE_URL` would be. */
  readonly baseURL: string
  /** Stops listening and cuts answers that are under way. */
  close(): Promise<void>
}

const defaultMaxTokens = 400

export async function startEndpoint({
  model,
  tokensPerSecond = 35,
  port = 0,
}: EndpointOptions): Promise<Endpoint> {
  const server = createServer((request, response) => {
    answer(request, response, { model, pauseMs: 1000 / tokensPerSecond }).catch((failure: unknown) => {
      if (request.destroyed || response.headersSent) response.destroy()
      else refuse(response, new Refusal(500, String(failure)))
    })
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const close = async () => {
    if (!server.listening) return
    const closed = once(server, 'close')
    server.close()
    server.closeAllConnections()
    await closed
  }
  const { port: bound } = server.address() as AddressInfo // a TCP server has no other kind of address
  return { baseURL: `http://127.0.0.1:${bound}/v1`, close, [Symbol.asyncDispose]: close }
}

interface Answering {
  readonly model: Pick<LanguageModel, 'generate'>
  readonly pauseMs: number
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  answering: Answering,
): Promise<void> {
  const route = `${request.method} ${request.url?.split('?')[0]}`
  if (route === 'GET /v1/models') {
    return sendJson(response, 200, {
      object: 'list',
      data: [{ id: embeddedModelName, object: 'model', created: 0, owned_by: 'trpc-sluice' }],
    })
  }
  if (route !== 'POST /v1/chat/completions') {
    return refuse(response, new Refusal(404, `There is nothing at ${route}.`))
  }
  const chat = parseRequest(await text(request))
  if (chat instanceof Refusal) return refuse(response, chat)
  if (chat.stream) await streamAnswer(response, chat, answering)
  else await sendAnswer(response, chat, answering)
}

function parseRequest(body: string): ChatRequest | Refusal {
  let json: unknown
  try {
    json = JSON.parse(body)
  } catch (cause) {
    return new Refusal(400, `The body is not JSON: ${(cause as SyntaxError).message}`)
  }
  const parsed = ChatRequest.safeParse(json)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    return new Refusal(400, issue?.message ?? 'Invalid request.', issue?.path.join('.'))
  }
  if (parsed.data.model !== embeddedModelName) {
    const message = `The model "${parsed.data.model}" does not exist; this endpoint has "${embeddedModelName}".`
    return new Refusal(404, message, 'model', 'model_not_found')
  }
  return parsed.data
}

/** One answer under way: what it says, piece by piece, and what is to be said about it afterwards. */
class Completion {
  readonly head: { readonly id: string; readonly created: number; readonly model: string }
  readonly #promptTokens: number
  readonly #maxTokens: number
  readonly #chat: ChatRequest
  #said = 0

  constructor(chat: ChatRequest) {
    this.#chat = chat
    this.#maxTokens = chat.max_completion_tokens ?? chat.max_tokens ?? defaultMaxTokens
    this.#promptTokens = toTokens(questionOf(chat)).length
    this.head = {
      id: `chatcmpl-${crypto.randomUUID()}`,
      created: Math.floor(Date.now() / 1000),
      model: embeddedModelName,
    }
  }

  /** The answer at a readable pace; it ends early, and quietly, when the signal is aborted. */
  async *words({ model, pauseMs }: Answering, signal: AbortSignal): AsyncGenerator<string, void, void> {
    const { temperature, seed } = this.#chat
    const words = model.generate({
      prompt: questionOf(this.#chat),
      maxTokens: this.#maxTokens,
      temperature: temperature ?? undefined,
      seed: seed ?? undefined,
    })
    let due = performance.now()
    for (const word of words) {
      // By the clock rather than by a fixed pause: so a busy machine does not talk more slowly.
      due = Math.max(due + pauseMs, performance.now() - 4 * pauseMs)
      const wait = due - performance.now()
      if (wait >= 1) await delay(wait, undefined, { signal }).catch(() => {}) // an abort is looked at below
      if (signal.aborted) return
      this.#said++
      yield word
    }
  }

  get finishReason(): 'stop' | 'length' {
    return this.#said >= this.#maxTokens ? 'length' : 'stop'
  }

  get usage() {
    const prompt = this.#promptTokens
    return { prompt_tokens: prompt, completion_tokens: this.#said, total_tokens: prompt + this.#said }
  }
}

async function streamAnswer(
  response: ServerResponse,
  chat: ChatRequest,
  answering: Answering,
): Promise<void> {
  const signal = abortedWith(response)
  const completion = new Completion(chat)
  const head = { ...completion.head, object: 'chat.completion.chunk' }
  const send = (rest: object) => response.write(`data: ${JSON.stringify({ ...head, ...rest })}\n\n`)
  const sendDelta = (delta: object, finish_reason: string | null) =>
    send({ choices: [{ index: 0, delta, finish_reason, logprobs: null }] })

  response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' })
  sendDelta({ role: 'assistant', content: '' }, null)
  for await (const content of completion.words(answering, signal)) sendDelta({ content }, null)
  if (signal.aborted) return
  sendDelta({}, completion.finishReason)
  if (chat.stream_options?.include_usage) send({ choices: [], usage: completion.usage })
  response.end('data: [DONE]\n\n')
}

async function sendAnswer(response: ServerResponse, chat: ChatRequest, answering: Answering): Promise<void> {
  const signal = abortedWith(response)
  const completion = new Completion(chat)
  let content = ''
  for await (const word of completion.words({ ...answering, pauseMs: 0 }, signal)) content += word
  if (signal.aborted) return
  const message = { role: 'assistant', content, refusal: null }
  sendJson(response, 200, {
    ...completion.head,
    object: 'chat.completion',
    choices: [{ index: 0, message, finish_reason: completion.finishReason, logprobs: null }],
    usage: completion.usage,
  })
}

/** Aborted when the other side hangs up before the answer is complete. */
function abortedWith(response: ServerResponse): AbortSignal {
  const controller = new AbortController()
  response.once('close', () => controller.abort())
  return controller.signal
}

/** An error in OpenAI's own shape, so that the SDK makes of it what it makes of theirs. */
class Refusal {
  constructor(
    readonly status: number,
    readonly message: string,
    readonly param: string | null = null,
    readonly code: string | null = null,
  ) {}
}

function refuse(response: ServerResponse, { status, message, param, code }: Refusal): void {
  const type = status >= 500 ? 'server_error' : 'invalid_request_error'
  sendJson(response, status, { error: { message, type, param, code } })
}

function sendJson(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body))
}
