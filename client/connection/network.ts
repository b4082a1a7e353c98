/**
 * What the browser says about the network and the page: hints, never gates. `navigator.onLine` is not asked at all:
 * it is true behind a dead router and false on some working VPNs.
 */
import type { Hint } from './machine.ts'

interface EventSourceOfHints {
  addEventListener?(
    type: string,
    listener: (event: { readonly persisted?: boolean }) => void,
    options: { readonly signal: AbortSignal },
  ): void
}

/** The globals that may or may not be there: Node has neither events nor a document, React Native no document. */
export interface Surroundings extends EventSourceOfHints {
  readonly document?: EventSourceOfHints & { readonly visibilityState?: string }
}

/** Calls `onHint` whenever there is reason to look after the connection; returns the removal of all listeners. */
export function listenForHints(
  onHint: (hint: Hint) => void,
  surroundings: Surroundings = globalThis as Surroundings, // typed by the few members that we look for
): () => void {
  const { document } = surroundings
  const listening = new AbortController()
  surroundings.addEventListener?.('online', () => onHint('network'), listening)
  // Back from the bfcache: whatever was open when the page was frozen has been closed by the browser.
  surroundings.addEventListener?.('pageshow', ({ persisted }) => persisted && onHint('network'), listening)
  const onVisibility = () => document?.visibilityState === 'visible' && onHint('visible')
  document?.addEventListener?.('visibilitychange', onVisibility, listening)
  return () => listening.abort()
}
