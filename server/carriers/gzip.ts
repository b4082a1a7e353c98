/**
 * A streamed response as gzip (RFC 1952), of pieces that are made once for all who get them. Each piece is whole
 * blocks of deflate (RFC 1951) that refer to nothing before them and end with a byte: so it can stand in any response,
 * and whoever has it can read all of it. What is small is a stored block. Only the ends are a response's own: the
 * head, and the checksum and length of all it has carried.
 *
 * Not brotli: its blocks refer to a dictionary by distances that begin with the stream, so that no two responses could
 * share them.
 */
import { SluiceError } from '../../shared/errors.ts'
import { join } from '../session/wire.ts'
import type { Frame, Packed, Packing } from '../session/wire.ts'
import { append, toSummand, type Summand } from './checksum.ts'
import type { Deflater } from './deflate.ts'
import type { ResponseWire } from './host.ts'

/** Deflate, no flags, no time, no word on level or system. */
const head = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff])
/** A last block, with nothing in it. */
const lastBlock = Buffer.from([0x03, 0x00])
/** What the two bytes for the length of a stored block can say. */
const maxStoredBytes = 65_535

/** The packings of one deflater, one for each framing that goes around them. */
export class Gzip {
  readonly #deflater: Deflater
  readonly #packings = new WeakMap<Packing, GzipPacking>()

  constructor(deflater: Deflater) {
    this.#deflater = deflater
  }

  /** The same response, compressed. Its head must say so. */
  wrap(wire: ResponseWire): ResponseWire {
    const packing = this.#over(wire.packing)
    let begun = false
    let crc = 0
    let bytes = 0
    const begin = () => {
      const first = begun ? [] : [wire.packing.pack(head)]
      begun = true
      return first
    }
    return {
      packing,
      gathers: wire.gathers ?? false,
      write(packed, gone) {
        for (const piece of packed) {
          const summand = packing.summandOf(piece)
          crc = append(crc, summand)
          bytes += summand.bytes
        }
        wire.write([...begin(), ...packed], gone)
      },
      get bufferedBytes() {
        return wire.bufferedBytes
      },
      get takenBytes() {
        return wire.takenBytes
      },
      cutOff: () => wire.cutOff(),
      end() {
        wire.write([...begin(), wire.packing.pack(toTrailer(crc, bytes))])
        wire.end()
      },
    }
  }

  #over(framing: Packing): GzipPacking {
    let packing = this.#packings.get(framing)
    if (!packing) this.#packings.set(framing, (packing = new GzipPacking(framing, this.#deflater)))
    return packing
  }
}

class GzipPacking implements Packing {
  readonly #framing: Packing
  readonly #deflater: Deflater
  readonly #summands = new WeakMap<Uint8Array, Summand>()

  constructor(framing: Packing, deflater: Deflater) {
    this.#framing = framing
    this.#deflater = deflater
  }

  pack(frame: Frame): Packed {
    const content = typeof frame === 'string' ? Buffer.from(frame) : frame
    const packed = this.#framing.pack(this.#deflater.deflate(content) ?? toStored(content))
    this.#summands.set(packed as Uint8Array, toSummand(content))
    return packed
  }

  packAll(frames: readonly Frame[]): readonly Packed[] {
    return [this.pack(join(frames))]
  }

  summandOf(packed: Packed): Summand {
    // What bytes are framed to is bytes.
    const summand = this.#summands.get(packed as Uint8Array)
    if (!summand)
      throw new SluiceError(
        'INTERNAL',
        'Something was written to a gzipped response that was not packed for it.',
      )
    return summand
  }
}

/** Whether a request says that it takes gzip (RFC 9110 12.5.3). One that says nothing gets what everybody can read. */
export function acceptsGzip(header = ''): boolean {
  const weights = new Map<string, number>()
  for (const coding of header.toLowerCase().split(',')) {
    const [name = '', weight = 'q=1'] = coding.split(';').map(part => part.trim())
    weights.set(name, Number(weight.replace(/^q=/, '')))
  }
  return (weights.get('gzip') ?? weights.get('*') ?? 0) > 0
}

/** As it is, in blocks that say how long they are, and the complement of that. */
function toStored(content: Uint8Array): Buffer {
  const blocks: Uint8Array[] = []
  for (let from = 0; from < content.byteLength; from += maxStoredBytes) {
    const stored = content.subarray(from, from + maxStoredBytes)
    const lengths = Buffer.alloc(5)
    lengths.writeUInt16LE(stored.byteLength, 1)
    lengths.writeUInt16LE(stored.byteLength ^ 0xffff, 3)
    blocks.push(lengths, stored)
  }
  return Buffer.concat(blocks)
}

function toTrailer(crc: number, bytes: number): Buffer {
  const sums = Buffer.alloc(8)
  sums.writeUInt32LE(crc, 0)
  sums.writeUInt32LE(bytes % 2 ** 32, 4)
  return Buffer.concat([lastBlock, sums])
}
