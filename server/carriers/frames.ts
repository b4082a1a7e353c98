/**
 * Messages as WebSocket frames (RFC 6455 5.2): final, unmasked, and deflated if they are large and the peer takes
 * that (RFC 7692). Those of one batch come in one frame for a peer that takes that (docs/wire.md, section 4): it is
 * together that small events are worth compressing.
 */
import type { IncomingMessage } from 'node:http'
import type { WebSocket } from 'ws'
import type { Extensions } from '../../shared/protocol/negotiate.ts'
import { byteLengthOf } from '../bytes.ts'
import { join } from '../session/wire.ts'
import type { Frame, Packed, Packing } from '../session/wire.ts'
import { flushMarkLength, type Deflater } from './deflate.ts'

const finalText = 0x81
const finalBinary = 0x82
const deflatedBit = 0x40

/** One packing for all who agreed on the same: so a frame is made, and deflated, once for all who get it. */
export class Packings {
  readonly #deflater: Deflater | null
  readonly #plain = { single: new Framed(false, null), batched: new Framed(true, null) }
  readonly #deflated

  constructor(deflater: Deflater | null) {
    this.#deflater = deflater
    this.#deflated = { single: new Framed(false, deflater), batched: new Framed(true, deflater) }
  }

  /** Null where `ws` has to make the frames: its server is the application's, and has negotiated what we don't know. */
  of(socket: WebSocket, { headers }: IncomingMessage, { batches }: Extensions): Packing | null {
    const negotiated = socket.extensions.includes('permessage-deflate')
    if (negotiated && !this.#deflater) return null
    // A peer that wants a smaller window than deflate's usual one gets its frames as they are, which is always legal.
    const deflates = negotiated && !headers['sec-websocket-extensions']?.includes('server_max_window_bits')
    return (deflates ? this.#deflated : this.#plain)[batches ? 'batched' : 'single']
  }
}

class Framed implements Packing {
  readonly together: boolean
  readonly #deflater: Deflater | null

  /** @param batches whether the messages of a batch are one frame, a JSON array. */
  constructor(batches: boolean, deflater: Deflater | null) {
    this.together = batches
    this.#deflater = deflater
  }

  pack(frame: Frame): Buffer {
    const kind = kindOf(frame)
    const deflated = this.#deflater?.deflate(frame)
    return deflated
      ? toFrame(kind | deflatedBit, deflated.subarray(0, -flushMarkLength))
      : toFrame(kind, frame)
  }

  packAll(frames: readonly Frame[]): readonly Packed[] {
    const [first, second] = frames
    if (first !== undefined && second === undefined) return [this.pack(first)]
    if (!this.together)
      return [this.#deflater ? join(frames.map(frame => this.pack(frame))) : toFrames(frames)]
    // A codec's messages follow one another.
    const isText = frames.every(frame => typeof frame === 'string')
    return [this.pack(isText ? `[${frames.join(',')}]` : join(frames))]
  }
}

function kindOf(frame: Frame): number {
  return typeof frame === 'string' ? finalText : finalBinary
}

function toFrame(firstByte: number, payload: Frame): Buffer {
  const length = byteLengthOf(payload)
  const bytes = Buffer.allocUnsafe(headLengthOf(length) + length)
  writeFrame(bytes, 0, firstByte, payload, length)
  return bytes
}

/** Into one piece from the start: 0.4 µs less for each of 200 B than to join them afterwards (Node 20). */
function toFrames(payloads: readonly Frame[]): Buffer {
  const lengths = payloads.map(byteLengthOf)
  const bytes = Buffer.allocUnsafe(lengths.reduce((sum, length) => sum + headLengthOf(length) + length, 0))
  let at = 0
  for (const [i, payload] of payloads.entries()) {
    at = writeFrame(bytes, at, kindOf(payload), payload, lengths[i] as number) // one for each
  }
  return bytes
}

function headLengthOf(length: number): number {
  return length < 126 ? 2 : length < 65_536 ? 4 : 10
}

/** Returns where it ends. */
function writeFrame(bytes: Buffer, at: number, firstByte: number, payload: Frame, length: number): number {
  const headLength = headLengthOf(length)
  bytes[at] = firstByte
  if (headLength === 2) bytes[at + 1] = length
  else if (headLength === 4) {
    bytes[at + 1] = 126
    bytes.writeUInt16BE(length, at + 2)
  } else {
    bytes[at + 1] = 127
    bytes.writeBigUInt64BE(BigInt(length), at + 2)
  }
  if (typeof payload === 'string') bytes.write(payload, at + headLength)
  else bytes.set(payload, at + headLength)
  return at + headLength + length
}
