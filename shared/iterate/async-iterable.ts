export function isAsyncIterable(value: unknown): value is AsyncIterable<unknown, unknown, undefined> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value
}
