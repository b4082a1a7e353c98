/**
 * Messages as MessagePack: the same members as in JSON, and a frame of several messages is one after the other.
 *
 * Plain MessagePack, with each message standing alone: what is encoded once is sent to many, who have not seen the
 * same before it, so nothing may refer to an earlier message as msgpackr's records do. Dates are timestamps; for what
 * the format has no word (Map, Set, bigint beyond 64 bits, undefined, typed arrays) it has extensions.
 */
import { addExtension, Packr } from 'msgpackr'
import { SluiceError } from '../errors.ts'
import { checkRoom, concat, depthWithin, type Bounds, type Codec, type Format } from './codec.ts'
import { holdForFirstWord } from './first-word.ts'
import { endOfValue, markedMap } from './msgpack-bounds.ts'

const packr = new Packr({
  useRecords: false,
  structuredClone: false,
  variableMapSize: true,
  moreTypes: true,
  useBigIntExtension: true,
  // A view would keep the whole frame.
  copyBuffers: true,
})

/**
 * Messages as MessagePack, by `msgpackr`. A `Date`, `Map`, `Set`, `bigint`, `undefined` and bytes arrive as what they
 * were, without a transformer; an instance of another class arrives as plain data.
 *
 * @example
 * ```ts
 * createSluice({ router, codecs: [msgpackCodec()] })
 * sluiceLink<AppRouter>({ url, transformer, codec: msgpackCodec() })
 * ```
 */
export function msgpackCodec(): Codec {
  return {
    name: 'msgpack',
    formatFor: () => format,
    join: concat,
    decode: decodeFrame,
    hold: holdForFirstWord,
  }
}

/** One for all: a value as MessagePack, in any message. */
export const pack = (value: unknown): Uint8Array => packr.pack(markMaps(value))

/** One value, and nothing after it. @throws SluiceError as `Codec.decode` does. */
export function unpack(bytes: Uint8Array, maxDepth: number): unknown {
  const end = endOfValue(bytes, 0, maxDepth)
  if (end === bytes.length) return unpackChecked(bytes)
  throw new SluiceError(
    'MESSAGE_INVALID',
    `A MessagePack value of ${end} bytes is followed by something else.`,
  )
}

const format: Format<Uint8Array> = {
  encode: pack,
  split: {
    // A map of one member more than are there yet: its first byte is 0x80 and their number.
    head(envelope) {
      const [first = 0, ...members] = pack(envelope)
      return Uint8Array.of(first + 1, ...members)
    },
    // That member, without the first byte of a map of its own.
    tail: (id, data) => pack({ result: { type: 'data', data: { id, data }, id } }).subarray(1),
    untrackedTail: data => pack({ result: { type: 'data', data } }).subarray(1),
    controlTail: type => pack({ result: { type } }).subarray(1),
    join: (head, tail) => concat([head, tail]),
  },
}

/** The message, and its params: an input begins below them. */
const envelopeDepth = 2

function decodeFrame(frame: Uint8Array, bounds: Bounds = {}): unknown[] {
  const messages: unknown[] = []
  for (let from = 0; from < frame.length;) {
    checkRoom(messages, bounds)
    if (!isMap(frame[from])) {
      throw new SluiceError(
        'MESSAGE_INVALID',
        'A MessagePack frame has something that is no map, hence no message.',
      )
    }
    const end = endOfValue(frame, from, depthWithin(bounds) + envelopeDepth)
    messages.push(unpackChecked(frame.subarray(from, end)))
    from = end
  }
  return messages
}

function isMap(token = 0): boolean {
  return (token & 0xf0) === 0x80 || token === 0xde || token === 0xdf
}

/** What has passed `endOfValue` may still be a date or a set that is none. */
function unpackChecked(bytes: Uint8Array): unknown {
  try {
    // Not a Buffer: bytes would come back as one.
    return withoutStacks(() => packr.unpack(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)))
  } catch (cause) {
    throw new SluiceError('MESSAGE_INVALID', 'The MessagePack in a frame has a value that cannot be.', {
      cause,
    })
  }
}

/** An error that is decoded has no stack: it would be ours, and a megabyte of errors takes 0.1 s without, and 1 s with (Node 20). */
function withoutStacks(decode: () => unknown): unknown {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  try {
    return decode()
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}

/** msgpackr writes a Map as it writes an object. Marked, it is written as its entries behind an extension. */
class MarkedMap {
  readonly entries: readonly (readonly [unknown, unknown])[]
  constructor(map: ReadonlyMap<unknown, unknown>) {
    this.entries = Array.from(map, ([key, value]) => [markMaps(key), markMaps(value)] as const)
  }
}

addExtension({
  Class: MarkedMap,
  type: markedMap,
  write: (map: MarkedMap) => map.entries,
  read: (entries: [unknown, unknown][]) => new Map(entries),
})

/** The value itself where it holds no Map, as most do. */
function markMaps(value: unknown): unknown {
  return holdsMap(value) ? withMarkedMaps(value) : value
}

function holdsMap(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return false
  if (value instanceof Map) return true
  if (value instanceof Set) return Array.from(value).some(holdsMap)
  if (Array.isArray(value)) return value.some(holdsMap)
  // Not by Object.values: this is on the way of each event. (0.16 µs instead of 0.33 for one of 240 bytes, Node 20.)
  for (const name in value) if (holdsMap((value as Record<string, unknown>)[name])) return true
  return false
}

function withMarkedMaps(value: unknown): unknown {
  if (!holdsMap(value)) return value
  if (value instanceof Map) return new MarkedMap(value)
  if (value instanceof Set) return new Set(Array.from(value, withMarkedMaps))
  if (Array.isArray(value)) return value.map(withMarkedMaps)
  return Object.fromEntries(
    Object.entries(value as object).map(([name, member]) => [name, withMarkedMaps(member)]),
  )
}
