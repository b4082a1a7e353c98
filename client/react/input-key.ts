/**
 * An input as a string, equal for equal inputs: components write their inputs as literals, which are new objects with
 * each render. Keys are sorted; what JSON would lose or refuse is spelled out.
 */
export function toInputKey(input: unknown): string {
  return JSON.stringify(input, (_key, value: unknown) => {
    if (typeof value === 'bigint') return `${value}n`
    if (value instanceof Map) return ['map', ...value]
    if (value instanceof Set) return ['set', ...value]
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
    return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
  }) // undefined for undefined, which is as good a key as any
}
