/** Payloads that tell who wrote them, and whether they are whole. */

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** Up to 5 kB: some lie within a page of the database, some on pages of their own. */
export const payloadOf = (writer: string, number: number): Uint8Array =>
  encoder.encode(`${writer} ${number} ${'.'.repeat((number * 977) % 5000)} end`)

/** @throws Error when it is not exactly what `payloadOf` made. */
export function parsePayload(payload: Uint8Array): { writer: string; number: number } {
  const [writer = '', text = ''] = decoder.decode(payload).split(' ')
  const number = Number(text)
  if (Buffer.compare(payload, payloadOf(writer, number)) !== 0) {
    throw new Error(`A torn record: ${payload.length} bytes that begin with "${writer} ${text}"`)
  }
  return { writer, number }
}
