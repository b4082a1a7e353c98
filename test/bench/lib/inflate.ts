import { constants, inflateRawSync } from 'node:zlib'

const flushMark = Buffer.from([0, 0, 0xff, 0xff])

/** What a server's WebSocket frames say, deflated or not, whatever the pieces in which they come. */
export class Inflater {
  #waiting: Buffer = Buffer.alloc(0)

  read(chunk: Buffer): Buffer {
    let bytes = this.#waiting.length === 0 ? chunk : Buffer.concat([this.#waiting, chunk])
    const said: Buffer[] = []
    for (;;) {
      const [first = 0, short = 0] = bytes
      const head = short < 126 ? 2 : short === 126 ? 4 : 10
      if (bytes.length < head) break
      const length =
        head === 2 ? short : head === 4 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2))
      if (bytes.length < head + length) break
      const payload = bytes.subarray(head, head + length)
      said.push(first & 0x40 ? inflate(payload) : payload)
      bytes = bytes.subarray(head + length)
    }
    this.#waiting = bytes
    return Buffer.concat(said)
  }
}

function inflate(payload: Buffer): Buffer {
  return inflateRawSync(Buffer.concat([payload, flushMark]), { finishFlush: constants.Z_SYNC_FLUSH })
}
