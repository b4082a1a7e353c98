import { Packr } from 'msgpackr'

/**
 * Values as the bytes that a store keeps, and back. MessagePack with extensions: Date, Map, Set, bigint, undefined,
 * typed arrays and plain data come back as they were; a class instance comes back as plain data. Each payload stands
 * alone (no structures shared between records), so that any node and any later version can read it.
 */
const packr = new Packr({ useRecords: true, moreTypes: true, useBigIntExtension: true, copyBuffers: true })

export function packPayload(value: unknown): Uint8Array {
  return packr.pack(value)
}

export function unpackPayload(payload: Uint8Array): unknown {
  return packr.unpack(payload)
}
