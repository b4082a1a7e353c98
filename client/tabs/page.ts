/**
 * When the page goes away, be it for good, into the back/forward cache or because the browser freezes it; and when it
 * is back. What a page holds while it is away, nobody else can have, and it may hold it for ever.
 */

interface EventTargetLike {
  addEventListener(type: string, listener: (event: { readonly persisted?: boolean }) => void): void
  removeEventListener(type: string, listener: (event: { readonly persisted?: boolean }) => void): void
}

/** The globals of a page. */
interface Page extends EventTargetLike {
  readonly document: EventTargetLike
}

export interface PageListener {
  /** There is no more time than this call. May come twice in a row. */
  away(): void
  back(): void
}

/** Whether this is a page of a browser that can hold locks and speak to its other tabs. */
export function canShare(): boolean {
  const { document, navigator, BroadcastChannel } = globalThis as Partial<typeof globalThis>
  return Boolean(document && navigator?.locks && BroadcastChannel)
}

/** Returns the removal of all listeners. */
export function watchPage({ away, back }: PageListener): () => void {
  const page = globalThis as unknown as Page // as canShare has said
  const onPageShow = ({ persisted }: { readonly persisted?: boolean }) => {
    if (persisted) back()
  }
  page.addEventListener('pagehide', away)
  page.addEventListener('pageshow', onPageShow)
  page.document.addEventListener('freeze', away)
  page.document.addEventListener('resume', back)
  return () => {
    page.removeEventListener('pagehide', away)
    page.removeEventListener('pageshow', onPageShow)
    page.document.removeEventListener('freeze', away)
    page.document.removeEventListener('resume', back)
  }
}
