import { createHash } from 'node:crypto'

/**
 * Tells one call from another: the same for the same input, whichever carrier and codec has brought it, and in
 * whichever order its members came. That is as JSON has it, which leaves out what is undefined and writes dates as
 * text; what JSON has no word for, and a transformer or another codec does, is spelt out.
 */
export function fingerprint(path: string, input: unknown): string {
  return digest(JSON.stringify([path, input], spellOut))
}

export function digest(value: string): string {
  return createHash('sha256').update(value).digest('base64url')
}

function spellOut(this: Readonly<Record<string, unknown>>, key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  const own = this[key] // `value` is what a Buffer's toJSON has made of it, and of no other bytes
  if (ArrayBuffer.isView(own))
    return Buffer.from(own.buffer, own.byteOffset, own.byteLength).toString('base64')
  if (Symbol.iterator in value) return Array.from(value as Iterable<unknown>)
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
}
