/** Messages as JSON, byte for byte as tRPC writes them: what is said in text frames. */
import type { Format, Message } from './codec.ts'

/**
 * @param serialize the transformer's half for what the server says: data and errors pass through it.
 * @param write the same as text; undefined for what JSON has no word for, such as undefined itself.
 */
export function jsonFormat(
  serialize: (value: unknown) => unknown,
  write = (value: unknown): string | undefined => JSON.stringify(serialize(value)),
): Format<string> {
  return {
    encode: message => JSON.stringify(withTransformed(message, serialize)),
    split: {
      head: ({ id, jsonrpc }) =>
        jsonrpc === undefined && Number.isSafeInteger(id)
          ? `{"id":${id}` // as most clients have it: 0.3 µs less (Node 20)
          : JSON.stringify({ id, jsonrpc }).slice(0, -1),
      tail: (id, data) =>
        `,"result":{"type":"data","data":${write({ id, data })},"id":${JSON.stringify(id)}}}`,
      untrackedTail(data) {
        const json = write(data)
        return json === undefined ? ',"result":{"type":"data"}}' : `,"result":{"type":"data","data":${json}}}`
      },
      controlTail: type => `,"result":${JSON.stringify({ type })}}`,
      join: (head, tail) => head + tail,
    },
  }
}

export function withTransformed(message: Message, serialize: (value: unknown) => unknown): Message {
  const { error, result } = message
  if (error !== undefined) return { ...message, error: serialize(error) }
  // Whether there is such a member, and not whether it has a value: a transformer may make one of undefined.
  if (!result || !('data' in result)) return message
  return { ...message, result: { ...result, data: serialize(result.data) } }
}
