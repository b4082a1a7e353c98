/**
 * Queries and mutations over plain HTTP, as tRPC's own links send them, loaded when the first one goes that way: those
 * of one turn in one request, except for what only a request of its own can carry (files, forms, streams of bytes, and
 * a key, which is a header).
 */
import { TRPCClientError } from '@trpc/client'
import type { HTTPHeaders, Operation } from '@trpc/client'
import { SluiceError, toError } from '../shared/errors.ts'
import { withParam } from '../shared/protocol/negotiate.ts'
import { idempotencyKeyOf } from './idempotency-key.ts'
import type { ResolvedOptions } from './options.ts'
import { isOwnBody } from './own-body.ts'
import type { ResultObserver } from './subscriptions/subscription.ts'
import { isRecord, type Deserializer } from './transports/decode.ts'
import { fetchOf, headersFor } from './transports/http-options.ts'
import { below, toHttpUrl } from './transports/http-url.ts'

interface Asked {
  readonly op: Operation
  readonly observer: ResultObserver
  readonly signal: AbortSignal
  /** As JSON, through the transformer; undefined where that has no word for it, and of a body of its own. */
  readonly json: string | undefined
}

interface Request {
  readonly address: string
  readonly method: 'GET' | 'POST'
  readonly body?: BodyInit
  readonly headers?: Readonly<Record<string, string>>
}

/** Longer request lines are split into several batches: many a proxy refuses them. */
const maxUrlLength = 8_000

type Send = (op: Operation, observer: ResultObserver, signal: AbortSignal) => Promise<void>

/** What sends for a link, by its options: its requests of one turn go together, and no other's. */
const senders = new WeakMap<ResolvedOptions, Send>()

/** Once aborted, nobody is told anything. */
export function sendOverHttp(
  options: ResolvedOptions,
  op: Operation,
  observer: ResultObserver,
  signal: AbortSignal,
): void {
  if (signal.aborted) return
  const send = senders.get(options) ?? createSender(options)
  senders.set(options, send)
  send(op, observer, signal).catch((thrown: unknown) => {
    if (!signal.aborted) observer.error(TRPCClientError.from(toError(thrown)))
  })
}

/** The promise of what it returns rejects when the request could not even begin. */
function createSender(options: ResolvedOptions): Send {
  const { transformer, onError } = options
  const fetch = fetchOf(options)
  /** What was asked for in this turn, by what can go together: the type, and the address of the day. */
  const batches = new Map<string, Asked[]>()

  /** One request for all of them, of which each is told its own answer. */
  const send = async (asked: readonly Asked[], request: Request, key?: string): Promise<void> => {
    const { address, ...init } = request
    const meta: { response?: Response; responseJSON?: unknown } = {}
    const fail = (observer: ResultObserver, thrown: unknown) =>
      observer.error(TRPCClientError.from(toError(thrown), { meta }))
    try {
      if (isTooLong(request))
        throw new SluiceError(
          'PAYLOAD_TOO_LARGE',
          `A query with its input is an address of ${address.length} characters, and more than ${maxUrlLength} are often refused. Make it a mutation.`,
        )
      const given = toRecord(
        await headersFor(
          options,
          asked.map(({ op }) => op),
        ),
      )
      const all = { ...init.headers, ...given, ...(key !== undefined && { 'idempotency-key': key }) }
      const signal = whenAllAborted(asked)
      const fetchIt = isByteStream(init.body) ? fetchStreaming : fetch
      meta.response = await fetchIt(address, { ...init, headers: all, signal })
      meta.responseJSON = await meta.response.json()
    } catch (thrown) {
      for (const { observer, signal } of asked) if (!signal.aborted) fail(observer, thrown)
      return
    }
    const { responseJSON: answers } = meta
    for (const [index, { observer, signal }] of asked.entries()) {
      if (signal.aborted) continue
      try {
        // What is no list is an error of all of them.
        const data = toData(Array.isArray(answers) ? answers[index] : answers, transformer.output)
        observer.next({ context: meta, result: { type: 'data', data } })
        observer.complete()
      } catch (thrown) {
        fail(observer, thrown)
      }
    }
  }

  /** Fetch refuses a stream without `duplex`; Node's goes on reading one for which there is no request any more. */
  const fetchStreaming = (address: string, { body: source, ...init }: RequestInit) => {
    const failed = new AbortController()
    const body = (source as ReadableStream).pipeThrough(new TransformStream(), { signal: failed.signal })
    // The last two keep Node's from holding all that is sent in memory, for a redirect after which it could be sent
    // again (200 MB of 200 MB, Node 20).
    const streamed = { ...init, body, duplex: 'half', redirect: 'error', window: null }
    const response = fetch(address, streamed as RequestInit)
    response.catch((thrown: unknown) => failed.abort(thrown))
    return response
  }

  /** Those of a turn, in as few requests as their addresses allow. */
  const flush = (key: string, base: string) => {
    const asked = batches.get(key)?.filter(({ signal }) => !signal.aborted) ?? []
    batches.delete(key)
    for (let rest = asked; rest.length > 0;) {
      let count = rest.length
      while (count > 1 && isTooLong(toBatch(base, rest.slice(0, count)))) count -= 1
      const together = rest.slice(0, count)
      rest = rest.slice(count)
      send(together, toBatch(base, together)).catch(onError)
    }
  }

  return async (op, observer, signal) => {
    const [address, params] = await Promise.all([options.url(), options.connectionParams?.() ?? null])
    if (signal.aborted) return
    const base = toHttpUrl(address, params)
    const { type, path, input, context } = op
    if (isOwnBody(input)) {
      const key = isByteStream(input) ? undefined : idempotencyKeyOf(context)
      return send([{ op, observer, signal, json: undefined }], toUpload(below(base, path), op), key)
    }
    // Each by itself and now, so that a value that cannot be encoded costs its own request only.
    const json = JSON.stringify(transformer.input.serialize(input)) as string | undefined
    const asked = { op, observer, signal, json }
    // A header is of one request, and so is a key.
    const idempotencyKey = idempotencyKeyOf(context)
    if (idempotencyKey !== undefined) {
      return send([asked], toRequest(type, below(base, path), json), idempotencyKey)
    }
    const key = `${type} ${base}`
    const batch = batches.get(key)
    if (batch) batch.push(asked)
    else {
      batches.set(key, [asked])
      setTimeout(() => flush(key, base)) // when the turn is over, as tRPC does
    }
  }
}

function toRequest(type: Operation['type'], address: string, json: string | undefined): Request {
  if (type !== 'query') {
    return { address, method: 'POST', body: json, headers: { 'content-type': 'application/json' } }
  }
  return { address: json === undefined ? address : withParam(address, 'input', json), method: 'GET' }
}

/** Several as one: their inputs are told apart by their place. */
function toBatch(base: string, asked: readonly Asked[]): Request {
  const paths = asked.map(({ op }) => op.path).join(',')
  const inputs = asked.flatMap(({ json }, index) => (json === undefined ? [] : `"${index}":${json}`))
  return toRequest(asked[0]?.op.type ?? 'query', withParam(below(base, paths), 'batch', '1'), `{${inputs}}`)
}

function isTooLong({ address }: Request): boolean {
  return address.length > maxUrlLength
}

/** @throws TypeError for a query. */
function toUpload(address: string, { type, input }: Operation): Request {
  if (type === 'query') throw new TypeError('A file, a form or bytes can be the input of a mutation only.')
  // Of a form the browser says itself what it is, and where its parts end.
  const isForm = typeof FormData === 'function' && input instanceof FormData
  const headers = { 'content-type': 'application/octet-stream' }
  return { address, method: 'POST', body: input as BodyInit, ...(!isForm && { headers }) }
}

/** @throws TRPCClientError where the answer is an error, and Error where it is none. */
function toData(answer: unknown, { deserialize }: Deserializer): unknown {
  if (isRecord(answer)) {
    const { error, result } = answer
    if (error !== undefined) throw TRPCClientError.from({ ...answer, error: deserialize(error) } as never)
    if (isRecord(result)) return deserialize(result['data'])
  }
  throw new Error('Unable to transform response from server')
}

/** As long as one of them is wanted, so is the request. */
function whenAllAborted(asked: readonly Asked[]): AbortSignal {
  const all = new AbortController()
  const check = () => {
    if (asked.every(({ signal }) => signal.aborted)) all.abort()
  }
  check() // some headers take their time
  for (const { signal } of asked) signal.addEventListener('abort', check)
  return all.signal
}

function isByteStream(input: unknown): boolean {
  return typeof ReadableStream === 'function' && input instanceof ReadableStream
}

function toRecord(headers: HTTPHeaders): HTTPHeaders {
  return Symbol.iterator in headers ? Object.fromEntries(headers) : headers
}
