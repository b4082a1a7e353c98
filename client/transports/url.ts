/** The link's one url as each transport needs it. */
import { SluiceError, quote } from '../../shared/errors.ts'
import { againParam, askForExtensions, lagParam } from '../../shared/protocol/negotiate.ts'
import { streamPath } from '../../shared/protocol/stream.ts'
import type { ConnectionParams } from '../options.ts'

/**
 * The address of the WebSocket, with our wish for extensions.
 *
 * @param expectParams whether the first message will be the connection params.
 * @param codec the name of the codec in which binary frames would be welcome.
 * @throws SluiceError `TRANSPORT_UNAVAILABLE` when the url is relative and there is no page.
 */
export function toWebSocketUrl(url: string, expectParams: boolean, codec?: string): string {
  const absolute = toAbsolute(url).replace(/^http/, 'ws')
  return askForExtensions(expectParams ? withParam(absolute, 'connectionParams', '1') : absolute, codec)
}

/** The address of the router over HTTP, with the connection params in its query, as tRPC expects them there. */
export function toHttpUrl(url: string, params: ConnectionParams): string {
  const absolute = toAbsolute(url).replace(/^ws/, 'http')
  return params === null ? absolute : withParam(absolute, 'connectionParams', JSON.stringify(params))
}

/** The address of one subscription over SSE: tRPC's, with our wish for extensions. */
export function toSubscriptionUrl(
  httpUrl: string,
  asked: {
    readonly path: string
    readonly input: unknown
    readonly lastEventId: string | undefined
    readonly again: boolean
    readonly lag: boolean
  },
): string {
  let url = below(httpUrl, asked.path)
  const input = JSON.stringify(asked.input)
  if (input !== undefined) url = withParam(url, 'input', input)
  if (asked.lastEventId !== undefined) url = withParam(url, 'lastEventId', asked.lastEventId)
  if (asked.again) url = withParam(url, againParam, '1')
  if (asked.lag) url = withParam(url, lagParam, '1')
  return askForExtensions(url)
}

/** The address to which the list of a stream's subscriptions is posted. */
export function toStreamUrl(httpUrl: string): string {
  return askForExtensions(below(httpUrl, streamPath))
}

function below(httpUrl: string, path: string): string {
  const [base = '', query] = httpUrl.split('?', 2)
  return `${base.replace(/\/$/, '')}/${path}${query === undefined ? '' : `?${query}`}`
}

function toAbsolute(url: string): string {
  if (/^(https?|wss?):/i.test(url)) return url
  const { location } = globalThis as { location?: { readonly href: string } }
  if (location) return new URL(url, location.href).href
  throw new SluiceError(
    'TRANSPORT_UNAVAILABLE',
    `The url ${quote(url)} is relative, and there is no page to resolve it against. Pass an absolute one to sluiceLink().`,
  )
}

function withParam(url: string, name: string, value: string): string {
  return `${url}${url.includes('?') ? '&' : '?'}${name}=${encodeURIComponent(value)}`
}
