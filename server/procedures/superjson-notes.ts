/**
 * superjson's notes beside a stranger's input (`meta`) say what is where, and superjson believes them: an index of four
 * thousand million makes a list of that length, a typed array "of" a number one of that size, and every step into a set
 * goes through all that is before it in there. Looked at before superjson sees them (2.2.6); whatever superjson itself
 * has written passes.
 */
import { TRPCError } from '@trpc/server'
import { SluiceError } from '../../shared/errors.ts'

/** How many members of sets and maps may be gone through for all references together: some 0.1 s (Node 20). */
const maxSteps = 10_000_000

type Path = readonly string[]

/** @throws TRPCError `BAD_REQUEST`, by `MESSAGE_INVALID`. */
export function checkNotes(value: unknown): void {
  const { json, meta } = (value ?? {}) as { readonly json?: unknown; readonly meta?: unknown }
  if (!isRecord(meta)) return
  // The notes of versions before 2 are without a number, and know of fewer escapes.
  const read = new Notes(json, typeof meta['v'] === 'number' && meta['v'] >= 1)
  if (meta['values'] !== undefined) read.values(meta['values'], [])
  if (meta['referentialEqualities'] !== undefined) read.references(meta['referentialEqualities'])
}

class Notes {
  readonly #json: unknown
  readonly #escapes: boolean
  /** Of what something is noted: once, or the second note would be about what the first has made of it. */
  readonly #noted = new Set<string>()
  /** Whether a set or a map is among it, which a reference may lead into by detours. */
  #hasSets = false
  #steps = 0

  constructor(json: unknown, escapes: boolean) {
    this.#json = json
    this.#escapes = escapes
  }

  /** What is of which type. A tree: superjson goes through it by calling itself, and its depth is limited before. */
  values(tree: unknown, at: Path): void {
    if (!Array.isArray(tree)) return this.#below(tree, at)
    const [type, children] = tree as readonly unknown[]
    if (children !== undefined) this.#below(children, at)
    const place = JSON.stringify(at)
    if (this.#noted.has(place)) throw refused('notes twice what one of its values is')
    this.#noted.add(place)
    const value = this.#follow(at, 0)
    if (type === 'set' || type === 'map') this.#hasSets = true
    if (Array.isArray(type) && type[0] === 'typed-array' && !Array.isArray(value)) {
      throw refused('notes a typed array where there is no list')
    }
  }

  #below(children: unknown, at: Path): void {
    if (!isRecord(children)) throw refused('has notes that are none of superjson')
    for (const [key, child] of Object.entries(children)) this.values(child, [...at, ...this.#parse(key)])
  }

  /** What is to be put in the place of what. */
  references(equalities: unknown): void {
    const [root, others] = Array.isArray(equalities) ? (equalities as readonly unknown[]) : [[], equalities]
    this.#copies([], root)
    if (others === undefined) return
    if (!isRecord(others)) throw refused('has notes that are none of superjson')
    for (const [path, copies] of Object.entries(others)) this.#copies(this.#parse(path), copies)
  }

  #copies(original: Path, copies: unknown): void {
    if (!Array.isArray(copies)) throw refused('has notes that are none of superjson')
    this.#follow(original, this.#hasSets ? 1 : 0)
    for (const copy of copies as readonly unknown[]) {
      if (typeof copy !== 'string') throw refused('has notes that are none of superjson')
      this.#follow(this.#parse(copy), this.#hasSets ? 1 : 0)
    }
  }

  /**
   * What is at a path; the last step may lead to a member that JSON has left out.
   *
   * @param cost of each member before the one that is gone to.
   */
  #follow(path: Path, cost: 0 | 1): unknown {
    let value = this.#json
    for (const [i, key] of path.entries()) {
      if (Array.isArray(value)) {
        const index = Number(key)
        if (!Number.isInteger(index) || index < 0 || index >= value.length)
          throw refused('notes what is not there')
        this.#steps += cost * index
        if (this.#steps > maxSteps)
          throw refused('has too many references into long lists beside sets or maps')
        value = value[index]
      } else {
        const has = isRecord(value) && Object.hasOwn(value, key)
        if (!has && (!isRecord(value) || i < path.length - 1)) throw refused('notes what is not there')
        value = has ? (value as Record<string, unknown>)[key] : undefined
      }
    }
    return value
  }

  /** As superjson does: names with dots between them; a dot that belongs to a name has a backslash before it. */
  #parse(text: string): Path {
    const path: string[] = []
    let name = ''
    for (let i = 0; i < text.length; i++) {
      const char = text.charAt(i)
      const next = text.charAt(i + 1)
      if (char === '\\' && (next === '.' || (this.#escapes && next === '\\'))) {
        name += next
        i++
      } else if (char === '.') {
        path.push(name)
        name = ''
      } else {
        name += char
      }
    }
    return [...path, name]
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

function refused(why: string): TRPCError {
  const message = `The input ${why}.`
  return new TRPCError({ code: 'BAD_REQUEST', message, cause: new SluiceError('MESSAGE_INVALID', message) })
}
