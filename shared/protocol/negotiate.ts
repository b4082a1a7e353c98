/**
 * Extensions to tRPC's wire protocol, and how two peers agree on them. A Sluice client says so when it connects
 * (`?sluice=1`, on every carrier); a server then may use what is listed here towards that client. A stock peer
 * neither asks nor sees any of it. Wire: docs/wire.md, section 4.
 */

/** Name of the query parameter by which a client asks for extensions. */
const sluiceParam = 'sluice'

/** Name of the query parameter by which it says how it would like binary frames. */
const codecParam = 'codec'

/** The one version that exists. */
const sluiceVersion = '1'

/** What both peers agreed on. */
export interface Extensions {
  /** The server tells the cursor at which a subscription begins, so that a quiet one can be resumed. */
  readonly position: boolean
  /**
   * The server sends heartbeats over SSE although the application has configured none, and tells how often they come
   * whoever configured them, so that the client knows which silence means a dead line.
   */
  readonly heartbeats: boolean
  /** The server takes many subscriptions in one request, and answers them in one response (stream.ts). */
  readonly streams: boolean
  /** Over WebSocket, the server may ask who the client is before it forgets, and the client may say it anew. */
  readonly renewal: boolean
  /** Over WebSocket, a subscription may be asked for with a credit, which the server then does not exceed. */
  readonly credits: boolean
  /** A client may ask to be told how far behind a subscription is. */
  readonly lag: boolean
  /** The name of the codec that the client would like, if the server has it; null: it understands text only. */
  readonly codec: string | null
  /** Over WebSocket, a client that is asked to leave is told within which time, and chooses the moment itself. */
  readonly spread: boolean
  /** Events that became ready together come in one WebSocket frame; as text, a JSON array. */
  readonly batches: boolean
}

export const noExtensions: Extensions = {
  position: false,
  heartbeats: false,
  streams: false,
  renewal: false,
  credits: false,
  lag: false,
  spread: false,
  codec: null,
  batches: false,
}

const allExtensions: Extensions = {
  position: true,
  heartbeats: true,
  streams: true,
  renewal: true,
  credits: true,
  lag: true,
  spread: true,
  codec: null,
  batches: true,
}

/** Name of the query parameter by which a client says, over HTTP, that it has asked for this before. */
export const againParam = 'again'

/** By which a client asks, over SSE, to be told how far behind it is. */
export const lagParam = 'lag'

/** What the server may use towards a client that connected with these query parameters. */
export function negotiate(params: URLSearchParams): Extensions {
  const asked = params.get(sluiceParam) === sluiceVersion
  if (!asked) return noExtensions
  const codec = params.get(codecParam)
  return codec === null ? allExtensions : { ...allExtensions, codec }
}

/**
 * Adds the wish for extensions to a URL, which may be relative.
 *
 * @param codec the name of the codec in which binary frames would be welcome.
 */
export function askForExtensions(url: string, codec?: string): string {
  const asking = withParam(url, sluiceParam, sluiceVersion)
  return codec === undefined ? asking : withParam(asking, codecParam, codec)
}

/** Adds a parameter to the query of a URL, which may be relative and may have a hash. */
export function withParam(url: string, name: string, value: string): string {
  const separator = /^[^#]*\?/.test(url) ? '&' : '?'
  return url.replace(/#|$/, end => `${separator}${name}=${encodeURIComponent(value)}${end}`)
}
