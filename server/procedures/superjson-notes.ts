/**
 * superjson's notes beside a stranger's input (`meta`) say what is where, and superjson believes them (2.2.6): an index of
 * four thousand million makes a list of that length, a typed array "of" a number one of that size, a path of 40 kB that
 * leads nowhere is walked again for each note below it (0.3 s; Node 20), and every step into a set goes through all that is
 * before it in there. Looked at before superjson sees them, place by place and in the order in which it heeds them: what
 * is in a value is noted below the note of that value, and nothing twice, or a note would be about what another has
 * made. Whatever superjson itself has written passes.
 */
import { TRPCError } from '@trpc/server'
import { SluiceError } from '../../shared/errors.ts'

/** Longer bigints take more than linear time; as in MessagePack, where it is bytes. */
const maxBigIntDigits = 2_466

/** To be counted out, all references together: 0.1 s (Node 20). Some 4,000 in one array come to that. */
const maxCounted = 10_000_000

/**
 * Steps of a path that lead nowhere. There may be some: what hangs on an array beside its items is noted, and JSON has no
 * word for it.
 */
const maxLost = 64

/** @throws TRPCError `BAD_REQUEST`, by `MESSAGE_INVALID`. */
export function checkNotes(value: unknown): void {
  if (!isBranch(value) || !isBranch(value['meta'])) return
  new Notes(value['json'], value['meta']).check()
}

type Branch = Readonly<Record<string, unknown>>

/** One member of the value. */
interface Place {
  readonly parent: object
  readonly step: string
  /** How many steps before it there was nothing any more. */
  readonly lost: number
}

/** What has no members. */
const nothing = Object.freeze({})

class Notes {
  readonly #root: Place
  readonly #meta: Branch
  /** Its first version did not escape backslashes. */
  readonly #isOld: boolean
  readonly #noted = new Map<object, Set<string>>()
  /** Whether there is something in which places are counted out. */
  #counts = false

  constructor(json: unknown, meta: Branch) {
    this.#root = { parent: [json], step: '0', lost: 0 }
    this.#meta = meta
    this.#isOld = ((meta['v'] ?? 0) as number) < 1 // as superjson compares it, whatever it is
  }

  check(): void {
    const { values, referentialEqualities } = this.#meta
    this.#values(values, this.#root)
    this.#references(referentialEqualities)
  }

  /** In the order in which superjson heeds them: what is in a value, and then the value. */
  #values(tree: unknown, at: Place): void {
    const isNote = Array.isArray(tree)
    const inner: unknown = isNote ? tree[1] : tree
    if (isBranch(inner)) {
      for (const [path, below] of Object.entries(inner)) this.#values(below, this.#follow(at, path, true))
    } else if (inner) {
      refuse('has notes that are none of superjson')
    }
    if (isNote) this.#note(tree[0], at)
  }

  #note(type: unknown, at: Place): void {
    const value = valueAt(at)
    if (type === 'set' || type === 'map') this.#counts = true
    if (Array.isArray(type) && type[0] === 'typed-array' && value !== undefined && !Array.isArray(value)) {
      refuse('notes a typed array where there is no list')
    }
    const isLong = typeof value === 'string' && value.length > maxBigIntDigits
    if (type === 'bigint' && (isLong || isBranch(value))) {
      refuse(`notes a bigint of more than ${maxBigIntDigits} characters, or of what is no text`)
    }
    if (at.parent === nothing) return
    const steps = this.#noted.get(at.parent) ?? new Set()
    this.#noted.set(at.parent, steps.add(at.step))
  }

  #references(references: unknown): void {
    let counted = 0
    const follow = (path: unknown) => {
      if (typeof path !== 'string') return refuse('has notes with a path that is none')
      this.#follow(this.#root, path, false)
      if (!this.#counts) return
      for (const step of path.split('.')) counted += Number(step) || 0
      if (counted > maxCounted) refuse('has too many references into long lists beside sets or maps')
    }
    const [toRoot, others]: unknown[] = Array.isArray(references) ? references : [[], references]
    const followAll = (paths: unknown) => {
      if (!Array.isArray(paths)) return refuse('has notes that are none of superjson')
      paths.forEach(follow)
    }
    followAll(toRoot)
    for (const [path, same] of Object.entries(others ?? {})) {
      follow(path)
      followAll(same)
    }
  }

  /** @param first whether it may not pass by what was noted before. */
  #follow(from: Place, path: string, first: boolean): Place {
    let at = from
    for (const step of this.#steps(path)) {
      const value = valueAt(at)
      const parent = isBranch(value) ? value : nothing
      const isLost = value === undefined && at.lost < maxLost
      // Of an array, superjson takes the name for a number: `00` would be a second name of `0`.
      const isNumber = Array.isArray(parent) && !Number.isNaN(Number(step))
      const isThere = Object.hasOwn(parent, step) || (!(step in parent) && !isNumber)
      if ((parent === nothing && !isLost) || !isThere) return refuse('notes what is not there')
      at = { parent, step, lost: parent === nothing ? at.lost + 1 : 0 }
      if (first && this.#noted.get(parent)?.has(step)) return refuse('notes twice what one of its values is')
    }
    return at
  }

  #steps(path: string): string[] {
    if (!path.includes('\\')) return path.split('.')
    const steps = ['']
    for (let at = 0; at < path.length; at++) {
      const next = path[at + 1]
      const isEscape = path[at] === '\\' && (next === '.' || (next === '\\' && !this.#isOld))
      if (path[at] === '.') steps.push('')
      else if (path[at] === '\\' && !isEscape && !this.#isOld)
        return refuse('has notes with a path that is none')
      else steps[steps.length - 1] += path[isEscape ? ++at : at] ?? ''
    }
    return steps
  }
}

function valueAt({ parent, step }: Place): unknown {
  return Object.hasOwn(parent, step) ? (parent as Branch)[step] : undefined
}

function refuse(why: string): never {
  const message = `The input ${why}.`
  throw new TRPCError({ code: 'BAD_REQUEST', message, cause: new SluiceError('MESSAGE_INVALID', message) })
}

function isBranch(value: unknown): value is Branch {
  return typeof value === 'object' && value !== null
}
