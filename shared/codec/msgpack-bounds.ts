/**
 * Looks through the bytes of a stranger's MessagePack before it is decoded. A decoder believes the lengths that it
 * reads, and calls itself for each level: six bytes that announce an array of 16 million have it allocate 133 MB
 * (msgpackr 1.12, Node 20), and a byte for each level has the stack. So first it is made sure that all that is
 * announced is there, that nothing is nested too deep, and that there is no extension but those that we write: among
 * the others of msgpackr are ones that make code, and circles. This itself neither recurses nor allocates by length.
 *
 * https://github.com/msgpack/msgpack/blob/master/spec.md
 */
import { SluiceError } from '../errors.ts'

/** Our extension type for a Map. */
export const markedMap = 0x4d

/** Types of extensions that hold their value: undefined, bigint, typed array, timestamp. */
const holding = new Set([0x00, 0x42, 0x74, 0xff])

/** Those that mark the value after them, as msgpackr has it: Set, Error, RegExp; and our Map. */
const marking = new Set([0x73, 0x65, 0x78, markedMap])

/** Longer bigints take a decoder more than linear time. */
const maxBigIntBytes = 1_024

/** Bytes after the first one of tokens 0xc0 to 0xdf that hold the value, or say its length. */
const operands = [
  0, 0, 0, 0, 1, 2, 4, 1, 2, 4, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 16, 1, 2, 4, 2, 4, 2, 4,
] as const

/**
 * The place after the value that begins at `from`.
 *
 * @throws SluiceError `MESSAGE_INVALID` when there is no whole value, and `INPUT_TOO_DEEP`.
 */
export function endOfValue(bytes: Uint8Array, from: number, maxDepth: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  /** For each level around this one, how many values are still to come there. */
  const around: number[] = []
  let toCome = 1
  let at = from
  for (;;) {
    while (toCome === 0) {
      const outer = around.pop()
      if (outer === undefined) return at
      toCome = outer
    }
    toCome -= 1
    const { size, inside } = readToken(view, at)
    at += size
    // Each value has a byte at least.
    if (at + inside > bytes.length) throw cutShort(bytes.length)
    if (inside === 0) continue
    around.push(toCome)
    if (around.length > maxDepth) {
      throw new SluiceError('INPUT_TOO_DEEP', 'A value in a MessagePack frame is nested too deep.', {
        data: { limit: maxDepth },
      })
    }
    toCome = inside
  }
}

interface Token {
  /** Bytes of the token itself, with those that follow it and are no values. */
  readonly size: number
  /** How many values are inside of it. */
  readonly inside: number
}

function readToken(view: DataView, at: number): Token {
  if (at >= view.byteLength) throw cutShort(view.byteLength)
  const token = view.getUint8(at)
  if (token < 0x80 || token >= 0xe0) return { size: 1, inside: 0 } // a small integer
  if (token < 0x90) return { size: 1, inside: 2 * (token & 0x0f) } // a small map
  if (token < 0xa0) return { size: 1, inside: token & 0x0f } // a small array
  if (token < 0xc0) return { size: 1 + (token & 0x1f), inside: 0 } // a short string
  const width = operands[token - 0xc0] ?? 0
  if (at + 1 + width > view.byteLength) throw cutShort(view.byteLength)
  if (token === 0xc1)
    throw new SluiceError('MESSAGE_INVALID', 'MessagePack has no value that begins with 0xc1.')
  if (token <= 0xc3) return { size: 1, inside: 0 } // nil, false, true
  if (token <= 0xc6) return { size: 1 + width + readLength(view, at + 1, width), inside: 0 } // bytes
  if (token <= 0xc9) return readExtension(view, at + 1 + width, readLength(view, at + 1, width), 1 + width)
  if (token <= 0xd3) return { size: 1 + width, inside: 0 } // a number
  if (token <= 0xd8) return readExtension(view, at + 1, width, 1)
  if (token <= 0xdb) return { size: 1 + width + readLength(view, at + 1, width), inside: 0 } // a string
  const length = readLength(view, at + 1, width)
  return { size: 1 + width, inside: token <= 0xdd ? length : 2 * length } // an array, or a map
}

/** @param at the place of its type; @param before how many bytes are in front of that. */
function readExtension(view: DataView, at: number, length: number, before: number): Token {
  if (at >= view.byteLength) throw cutShort(view.byteLength)
  const type = view.getUint8(at)
  const size = before + 1 + length
  if (marking.has(type) && length === 1) return { size, inside: 1 }
  if (holding.has(type) && (type !== 0x42 || length <= maxBigIntBytes)) return { size, inside: 0 }
  throw new SluiceError(
    'MESSAGE_INVALID',
    `MessagePack extension ${type} of ${length} bytes is not understood.`,
  )
}

function readLength(view: DataView, at: number, width: number): number {
  if (width === 1) return view.getUint8(at)
  return width === 2 ? view.getUint16(at) : view.getUint32(at)
}

function cutShort(length: number): SluiceError {
  return new SluiceError('MESSAGE_INVALID', `A MessagePack frame ends after ${length} bytes within a value.`)
}
