import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  emptyBook,
  isStuck,
  nextAction,
  withAsked,
  withClosing,
  withOpen,
  withOpening,
  without,
  withoutResponse,
  withUnwanted,
  type Book,
} from '../../../client/transports/stream-plan.ts'

/** A client that does what the plan says, and a world in which responses open, end and are gone in their time. */
class Page {
  book: Book = emptyBook
  quiet = false
  readonly movable = new Set<number>()
  /** How often each was asked for. */
  readonly asked = new Map<number, number>()
  readonly opened: number[][] = []
  #lastKey = 0
  #lastId = 0

  /** Does all that is to be done now. */
  arrange(): void {
    for (let action = this.#next(); action; action = this.#next()) {
      if (action.do === 'close') {
        for (const key of action.keys) this.book = withClosing(this.book, key)
        continue
      }
      const ids = action.ids as number[]
      this.opened.push(ids)
      for (const id of ids) this.asked.set(id, (this.asked.get(id) ?? 0) + 1)
      this.book = withOpening(this.book, (this.#lastKey += 1), ids)
    }
  }

  #next() {
    return nextAction(this.book, this.facts)
  }

  get facts() {
    return { isMovable: (id: number | string) => this.movable.has(Number(id)), quiet: this.quiet }
  }

  add({ movable }: { readonly movable: boolean }): number {
    const id = (this.#lastId += 1)
    if (movable) this.movable.add(id)
    this.book = withAsked(this.book, id)
    this.quiet = false
    return id
  }

  remove(id: number): void {
    this.book = without(this.book, id, { over: false })
    this.quiet = false
  }

  /** All that is under way has come about. */
  settle(): void {
    for (let round = 0; round < 10; round++) {
      for (const { key, at } of this.book.responses) {
        if (at === 'opening') this.book = withOpen(this.book, key)
        if (at === 'closing') this.book = withoutResponse(this.book, key)
      }
      this.arrange()
    }
  }

  get carried(): number[][] {
    return this.book.responses.filter(({ at }) => at !== 'closing').map(({ ids }) => ids as number[])
  }
}

function started(...adding: boolean[]): Page {
  const page = new Page()
  for (const movable of adding) page.add({ movable })
  page.arrange()
  page.settle()
  return page
}

describe('on a page', () => {
  test('subscriptions that begin together share one response', () => {
    expect(started(true, true, false).carried).toEqual([[1, 2, 3]])
  })

  test('a newcomer has a second one, and both are folded into one when things are quiet', () => {
    const page = started(true, false)
    page.movable.add(2) // its first event has come
    page.add({ movable: true })
    page.arrange()
    page.settle()
    expect(page.carried).toEqual([[1, 2], [3]])
    page.quiet = true
    page.arrange()
    page.settle()
    expect(page.carried).toEqual([[1, 2, 3]])
    expect(page.opened).toEqual([[1, 2], [3], [1, 2, 3]])
  })

  test('who comes and who leaves in one turn are one request', () => {
    const page = started(true, true)
    page.remove(1)
    page.add({ movable: true })
    page.arrange()
    page.settle()
    expect(page.opened).toEqual([
      [1, 2],
      [3, 2],
    ])
  })

  test('the last one takes its response with it, at once', () => {
    const page = started(false)
    page.remove(1)
    page.arrange()
    expect(page.carried).toEqual([])
  })

  test('a response is made anew without one that left: when things are quiet, or when it brings too much', () => {
    const page = started(true, true)
    page.remove(1)
    page.arrange()
    expect(page.carried).toEqual([[2]])
    expect(page.opened).toHaveLength(1)
    const [{ key } = { key: 0 }] = page.book.responses
    for (let i = 0; i < 101; i++) page.book = withUnwanted(page.book, key)
    page.arrange()
    page.settle()
    expect(page.opened).toEqual([[1, 2], [2]])
  })

  test('a third comer replaces the lighter response that can be moved', () => {
    const page = started(true, true)
    for (const movable of [true, true]) {
      page.add({ movable })
      page.arrange()
      page.settle()
    }
    expect(page.opened).toEqual([[1, 2], [3], [4, 3]])
  })

  test('what has no cursor stays where it is, and two such responses leave no place until one ends', () => {
    const page = started(false)
    page.add({ movable: false })
    page.arrange()
    page.settle()
    const third = page.add({ movable: true })
    page.arrange()
    page.settle()
    expect(page.carried).toEqual([[1], [2]])
    expect(isStuck(page.book, page.facts)).toBe(true)
    page.book = without(page.book, 1, { over: true })
    page.arrange()
    page.settle()
    expect(page.carried).toEqual([[2], [third]])
    expect(isStuck(page.book, page.facts)).toBe(false)
  })
})

test('whatever happens: two responses at most, each subscription on one, and none without a cursor asked for twice', () => {
  const move = fc.record({
    do: fc.constantFrom('add', 'addPinned', 'remove', 'proceed', 'learn', 'quiet', 'arrange'),
    at: fc.nat(1_000),
  })
  fc.assert(
    fc.property(fc.array(move, { maxLength: 60, size: 'max' }), moves => {
      const page = new Page()
      const wanted = new Set<number>()
      const pick = <T>(items: readonly T[], at: number) => items[at % items.length]
      for (const { do: what, at } of moves) {
        const response = pick(page.book.responses, at)
        const id = pick([...wanted], at)
        if (what === 'add') wanted.add(page.add({ movable: true }))
        else if (what === 'addPinned') wanted.add(page.add({ movable: false }))
        else if (what === 'quiet') page.quiet = true
        else if (what === 'arrange') page.arrange()
        else if (what === 'learn' && id !== undefined) page.movable.add(id)
        else if (what === 'remove' && id !== undefined) {
          wanted.delete(id)
          page.remove(id)
        } else if (what === 'proceed' && response) {
          const { key } = response
          if (response.at === 'opening') page.book = withOpen(page.book, key)
          else if (response.at === 'closing') page.book = withoutResponse(page.book, key)
          page.arrange()
        }
        const { responses, waiting } = page.book
        expect(responses.length).toBeLessThanOrEqual(2)
        const everywhere = [...responses.flatMap(({ ids }) => ids), ...waiting]
        expect(everywhere.toSorted()).toEqual([...wanted].toSorted())
      }
      for (const [id, times] of page.asked) {
        if (!page.movable.has(id)) expect(times).toBe(1)
      }
      // In the end, with all that is under way come about, and what can be moved known: one response for all.
      for (const id of wanted) page.movable.add(id)
      page.quiet = true
      page.arrange()
      page.settle()
      page.settle()
      expect(page.carried.map(ids => ids.toSorted())).toEqual(wanted.size ? [[...wanted].toSorted()] : [])
      expect(page.book.waiting).toEqual([])
    }),
    { numRuns: 1_000 },
  )
})
