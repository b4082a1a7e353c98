/** The link's one url as requests over HTTP need it. */
import { askForExtensions, withParam } from '../../shared/protocol/negotiate.ts'
import { streamPath } from '../../shared/protocol/stream.ts'
import type { ConnectionParams } from '../options.ts'
import type { Wish } from './transport.ts'
import { toAbsolute } from './url.ts'

/** The address of the router over HTTP, with the connection params in its query, as tRPC expects them there. */
export function toHttpUrl(url: string, params: ConnectionParams): string {
  const absolute = toAbsolute(url).replace(/^ws/, 'http')
  return params === null ? absolute : withParam(absolute, 'connectionParams', JSON.stringify(params))
}

/** The address of one subscription over SSE: tRPC's, with our wish for extensions. */
export function toSubscriptionUrl(
  httpUrl: string,
  { path, input, ...wish }: Wish & { readonly path: string; readonly input: unknown },
): string {
  let url = below(httpUrl, path)
  const json = JSON.stringify(input) as string | undefined // of undefined
  if (json !== undefined) url = withParam(url, 'input', json)
  // In the query its members have the names that they have in a message.
  for (const [name, value] of Object.entries(wish)) url = withParam(url, name, value === true ? '1' : value)
  return askForExtensions(url)
}

/** The address to which the list of a stream's subscriptions is posted. */
export function toStreamUrl(httpUrl: string): string {
  return askForExtensions(below(httpUrl, streamPath))
}

/** The address of what is served below the router's. */
export function below(httpUrl: string, path: string): string {
  const [base = '', query] = httpUrl.split('?', 2)
  return `${base.replace(/\/$/, '')}/${path}${query === undefined ? '' : `?${query}`}`
}
