/** What is not JSON: it is sent as the body of a request of its own, also where there is a WebSocket. */
export function isOwnBody(input: unknown): boolean {
  return isByteStream(input) || ['Blob', 'FormData', 'Uint8Array'].some(name => isA(name, input))
}

export function isByteStream(input: unknown): input is ReadableStream<Uint8Array<ArrayBuffer>> {
  return isA('ReadableStream', input)
}

/** Not every surrounding has every class: React Native has no streams. */
function isA(name: string, input: unknown): boolean {
  const { [name]: type } = globalThis as Record<string, unknown>
  return typeof type === 'function' && input instanceof type
}
