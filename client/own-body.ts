/** What is not JSON: it is sent as the body of a request of its own, also where there is a WebSocket. */
export function isOwnBody(input: unknown): boolean {
  return ['ReadableStream', 'Blob', 'FormData', 'Uint8Array'].some(name => {
    // Not every surrounding has every class: React Native has no streams.
    const { [name]: type } = globalThis as Record<string, unknown>
    return typeof type === 'function' && input instanceof type
  })
}
