import { createHash } from 'node:crypto'

/**
 * Tells one call from another: the same for the same input, whichever carrier and codec has brought it, and in
 * whichever order its members came. That is as JSON has it, which leaves out what is undefined and writes dates as
 * text; what JSON has no word for, and a transformer or another codec does, is spelt out.
 *
 * An object is spelt once, however often it is met: where a transformer knows references, a stranger needs few of them
 * for an input that would have no end if it were written out.
 */
export function fingerprint(path: string, input: unknown): string {
  const spelling = new Spelling()
  return digest(JSON.stringify([path, spelling.of(input), ...spelling.objects]))
}

export function digest(value: string): string {
  return createHash('sha256').update(value).digest('base64url')
}

class Spelling {
  /** By how they are spelt, what stands for them: the same for those that are alike, in one place or in many. */
  readonly #names = new Map<string, string>()
  readonly #met = new Map<object, string>()

  /** How they are spelt to which a name was given. */
  get objects(): Iterable<string> {
    return this.#names.keys()
  }

  of(value: unknown): string {
    if (typeof value === 'bigint') return `${value}n`
    if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
    return this.#met.get(value) ?? this.#meet(value)
  }

  #meet(value: object): string {
    this.#met.set(value, 'itself') // until it has a name
    const name = this.#name(value)
    this.#met.set(value, name)
    return name
  }

  #name(value: object): string {
    const bytes = toBytes(value)
    if (!bytes && hasJson(value)) return this.of(value.toJSON())
    const spelt = bytes ? bytes.toString('base64') : this.#spell(value)
    const name = this.#names.get(spelt) ?? `#${this.#names.size}`
    this.#names.set(spelt, name)
    return name
  }

  #spell(value: object): string {
    if (value instanceof RegExp || value instanceof Error) return String(value)
    if (Symbol.iterator in value) {
      return `[${Array.from(value as Iterable<unknown>, each => this.of(each)).join()}]`
    }
    const members = Object.entries(value).filter(([, member]) => member !== undefined)
    const sorted = members.toSorted(([a], [b]) => (a < b ? -1 : 1))
    return `{${sorted.map(([key, member]) => `${JSON.stringify(key)}:${this.of(member)}`).join()}}`
  }
}

/** A Buffer has a toJSON of its own, and other bytes have none. */
function toBytes(value: object): Buffer | null {
  if (value instanceof ArrayBuffer) return Buffer.from(value)
  return ArrayBuffer.isView(value) ? Buffer.from(value.buffer, value.byteOffset, value.byteLength) : null
}

function hasJson(value: object): value is { toJSON(): unknown } {
  return 'toJSON' in value && typeof value.toJSON === 'function'
}
