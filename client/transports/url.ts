/** The link's one url as a WebSocket needs it; for the others, see http-url.ts. */
import { SluiceError, quote } from '../../shared/errors.ts'
import { askForExtensions, withParam } from '../../shared/protocol/negotiate.ts'

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

/** @throws SluiceError `TRANSPORT_UNAVAILABLE` when the url is relative and there is no page. */
export function toAbsolute(url: string): string {
  if (/^(http|ws)s?:/i.test(url)) return url
  const { location } = globalThis as { location?: { readonly href: string } }
  if (location) return new URL(url, location.href).href
  throw new SluiceError(
    'TRANSPORT_UNAVAILABLE',
    `The url ${quote(url)} is relative, and there is no page. Pass an absolute one to sluiceLink().`,
  )
}
