/** What is to happen in one tab of a browser only: a sound, a notification, a sync in the background. */
import '../../shared/scope.ts'
import { canShare, watchPage } from './page.ts'

/** One tab's turn. */
export interface Turn {
  /** Aborted when the turn is over: by the option `signal`, or because the page goes away. */
  readonly signal: AbortSignal
  /**
   * A place in a stream that the next tab goes on from: the id of the last event that was dealt with. It is kept in
   * `localStorage`, for all tabs and beyond them.
   */
  readonly place: {
    get(): string | undefined
    set(id: string): void
  }
}

export interface OncePerBrowserOptions {
  /** Gives the turn back, or leaves the line. */
  readonly signal?: AbortSignal
}

/**
 * Runs `handler` in one tab of the browser at a time. When that tab ends, however it ends, or its handler returns, the
 * next in line runs its own: so a handler that is to run for as long as there is a tab waits for its signal. A tab that
 * is frozen gives its turn back, and gets in line again when it wakes up.
 *
 * At most one tab runs it; an event is dealt with at least once: a tab that dies between dealing with one and
 * `place.set` leaves it to the next. Without Web Locks (Node, pages that are not secure) each one runs it.
 *
 * @param name of what is to happen, the same in all tabs; put the user's id in it where it is a user's own.
 * @returns settles when the handler has returned, or `signal` was aborted; rejects with what the handler throws.
 * @example
 * ```ts
 * await oncePerBrowser(`notify ${userId}`, async ({ signal, place }) => {
 *   for await (const { id, data } of iterate(client.onNotice, { lastEventId: place.get() }, { signal })) {
 *     new Notification(data.text)
 *     place.set(id)
 *   }
 * })
 * ```
 */
export async function oncePerBrowser(
  name: string,
  handler: (turn: Turn) => void | Promise<void>,
  { signal: ended = new AbortController().signal }: OncePerBrowserOptions = {},
): Promise<void> {
  const key = `sluice once ${name}`
  const place = {
    get: () => globalThis.localStorage?.getItem(key) ?? undefined,
    set: (id: string) => globalThis.localStorage?.setItem(key, id),
  }
  if (!canShare()) return handler({ signal: ended, place })
  while (!ended.aborted) {
    using turn = startTurn(ended)
    const { signal } = turn
    const done = await inLine(key, signal, () => handler({ signal, place }))
    if (done) return
    await turn.back
  }
}

/** From now until the page goes away, or the application has had enough. */
function startTurn(ended: AbortSignal) {
  const away = new AbortController()
  let isBack = () => {}
  const back = new Promise<void>(resolve => (isBack = resolve))
  ended.addEventListener('abort', isBack)
  const stopWatching = watchPage({ away: () => away.abort(), back: isBack })
  return {
    signal: AbortSignal.any([away.signal, ended]),
    /** Settles when the page is back, or nobody waits for it any more. */
    back,
    [Symbol.dispose]() {
      ended.removeEventListener('abort', isBack)
      stopWatching()
    },
  }
}

/** Runs it while holding the lock, which is let go at the signal, whatever is running; false if it was. */
async function inLine(lock: string, signal: AbortSignal, run: () => void | Promise<void>): Promise<boolean> {
  const aborted = new Promise<false>(resolve => {
    if (signal.aborted) resolve(false)
    signal.addEventListener('abort', () => resolve(false))
  })
  try {
    return await navigator.locks.request(lock, { signal }, () =>
      Promise.race([aborted, Promise.resolve(run()).then(() => true)]),
    )
  } catch (thrown) {
    if (signal.aborted) return false
    throw thrown
  }
}
