/** How many bytes something is on the wire, before the carrier frames or compresses it. */
export function byteLengthOf(piece: string | Uint8Array): number {
  return typeof piece === 'string' ? Buffer.byteLength(piece) : piece.byteLength
}
