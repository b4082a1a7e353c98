/**
 * Which subscriptions are on which response, and what to do about it. Pure: stream.ts carries the actions out and
 * tells what became of them.
 *
 * A response cannot be changed, only replaced, and there are never more than two at a time: a page has six connections
 * over HTTP/1.1, and needs some for other things. So newcomers get a response of their own at once, and when things
 * have been quiet for a while, both are replaced by one. What has no cursor cannot be moved: it would begin anew. It
 * stays where it is until it ends, and with it the response that carries it.
 *
 *     newcomers ──open──▶ opening ──▶ open ──close──▶ closing ──gone──▶ (its place is free)
 *         ▲                             │
 *         └──────── by cursor ──────────┘
 */
import type { RequestId } from '../../shared/protocol/messages.ts'

export interface Book {
  readonly responses: readonly Carrying[]
  /** Asked for, and on no response. */
  readonly waiting: readonly RequestId[]
}

export interface Carrying {
  readonly key: number
  readonly at: 'opening' | 'open' | 'closing'
  /** The subscriptions on it that are still wanted. */
  readonly ids: readonly RequestId[]
  /** How many messages it has brought of those that are not, since there are any; null while there are none. */
  readonly unwanted: number | null
}

export type Action =
  /** Open a response for these; there is a place for it. */
  | { readonly do: 'open'; readonly ids: readonly RequestId[] }
  /** Close these responses. Those whom they carry are to be asked for anew, after their cursors. */
  | { readonly do: 'close'; readonly keys: readonly number[] }

export interface Facts {
  /** Whether a subscription has a cursor to go on from. */
  isMovable(id: RequestId): boolean
  /** Whether nothing was asked for or taken back for a while. */
  readonly quiet: boolean
}

const maxResponses = 2

/** A response that brings more than this for nobody is not kept until things are quiet. */
const maxUnwanted = 100

export const emptyBook: Book = { responses: [], waiting: [] }

/** What is to be done first; null when all is as it should be for now. */
export function nextAction({ responses, waiting }: Book, { isMovable, quiet }: Facts): Action | null {
  const close = (...closed: readonly Carrying[]): Action => ({
    do: 'close',
    keys: closed.map(({ key }) => key),
  })
  const idle = responses.find(({ at, ids }) => at !== 'closing' && ids.length === 0)
  if (idle) return close(idle)

  const movable = responses.filter(({ at, ids }) => at === 'open' && ids.every(isMovable))
  const stale = movable.filter(({ unwanted }) => unwanted !== null)
  if (waiting.length > 0) {
    // Who leaves and who comes at the same time are one change of one response.
    if (stale[0]) return close(stale[0])
    if (responses.length < maxResponses) return { do: 'open', ids: waiting }
    // One that closes leaves its place, and one that opens may turn out to be movable: better than to break another.
    if (responses.some(({ at }) => at !== 'open')) return null
    const [one, other = one] = movable
    if (!one || !other) return null
    return close(other.ids.length < one.ids.length ? other : one)
  }
  const wasteful = stale.find(({ unwanted }) => Number(unwanted) > maxUnwanted)
  if (wasteful) return close(wasteful)
  if (!quiet) return null
  if (movable.length === maxResponses) return close(...movable)
  return stale[0] ? close(stale[0]) : null
}

/** Whether things could be put more simply when they are quiet. */
export function mayBeFolded({ responses }: Book): boolean {
  return responses.length > 1 || responses.some(({ unwanted }) => unwanted !== null)
}

/** Whether newcomers have no place until something ends: both responses carry what cannot be moved. */
export function isStuck({ responses, waiting }: Book, { isMovable }: Facts): boolean {
  const pinned = responses.filter(({ at, ids }) => at === 'open' && !ids.every(isMovable))
  return waiting.length > 0 && pinned.length === maxResponses
}

/** A newcomer. */
export function withAsked(book: Book, id: RequestId): Book {
  return { ...book, waiting: [...book.waiting, id] }
}

/** Nobody wants it any more, or it has ended: `over` says that the server will not say any more of it. */
export function without(book: Book, id: RequestId, { over }: { readonly over: boolean }): Book {
  const responses = book.responses.map(response => {
    if (!response.ids.includes(id)) return response
    const ids = response.ids.filter(other => other !== id)
    return { ...response, ids, unwanted: over ? response.unwanted : (response.unwanted ?? 0) }
  })
  return { responses, waiting: book.waiting.filter(other => other !== id) }
}

export function withOpening(book: Book, key: number, ids: readonly RequestId[]): Book {
  return {
    responses: [...book.responses, { key, at: 'opening', ids, unwanted: null }],
    waiting: book.waiting.filter(id => !ids.includes(id)),
  }
}

export function withOpen(book: Book, key: number): Book {
  return change(book, key, response => ({ ...response, at: 'open' }))
}

/** It brought a message of a subscription that nobody wants. */
export function withUnwanted(book: Book, key: number): Book {
  return change(book, key, response => ({ ...response, unwanted: (response.unwanted ?? 0) + 1 }))
}

/** It is being closed by us: those on it wait for another. */
export function withClosing(book: Book, key: number): Book {
  const carried = book.responses.find(response => response.key === key)?.ids ?? []
  const closing = change(book, key, response => ({ ...response, at: 'closing', ids: [], unwanted: null }))
  return { ...closing, waiting: [...closing.waiting, ...carried] }
}

/** Its place is free. Those on it are forgotten with it. */
export function withoutResponse(book: Book, key: number): Book {
  return { ...book, responses: book.responses.filter(response => response.key !== key) }
}

function change(book: Book, key: number, to: (response: Carrying) => Carrying): Book {
  return { ...book, responses: book.responses.map(one => (one.key === key ? to(one) : one)) }
}
