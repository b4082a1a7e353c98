/**
 * Messages in an envelope of Protobuf (envelope.proto). What procedures take and give is a message of the application's
 * own where it has named a schema for it, and MessagePack everywhere else: so errors, gaps and snapshots need none.
 *
 * A message is put together as Protobuf allows: the fields of its head, then those of its tail. So is a frame, of one
 * message or several.
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import type { DescMessage, MessageInitShape } from '@bufbuild/protobuf'
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire'
import { quote, SluiceError } from '../errors.ts'
import { isSluiceItem } from '../items.ts'
import { tagOfLog } from '../protocol/cursor.ts'
import type { RequestId } from '../protocol/messages.ts'
import {
  checkRoom,
  concat,
  depthWithin,
  type Bounds,
  type Codec,
  type Format,
  type Message,
} from './codec.ts'
import { Call_Method, FrameSchema, MessageSchema, PayloadSchema, Result_Type } from './envelope_pb.ts'
import type { Message as Envelope, Payload } from './envelope_pb.ts'
import { holdForFirstWord } from './first-word.ts'
import { pack, unpack } from './msgpack.ts'

/** What a procedure takes and gives, as far as it is a message of Protobuf: schemas that `protoc-gen-es` has made. */
export interface PayloadSchemas {
  readonly input?: DescMessage
  /** Of a subscription: what each of its events is, without the id. */
  readonly output?: DescMessage
}

export interface ProtobufCodecOptions {
  /**
   * By the path of the procedure: `{ 'ticker.onPrice': { output: PriceSchema } }`. The same on both sides; with a peer
   * that has others the codec is not agreed on, and JSON is spoken.
   */
  readonly schemas?: Readonly<Record<string, PayloadSchemas>>
}

/**
 * Messages as Protobuf, by `@bufbuild/protobuf`. Where a procedure has a schema, what it takes or gives arrives as a
 * message of that schema, with its `$typeName`; a member that the schema does not have is refused when it is sent.
 * Everything else is MessagePack inside, and arrives as with `msgpackCodec()`.
 *
 * @example
 * ```ts
 * const codec = protobufCodec({ schemas: { 'ticker.onPrice': { output: PriceSchema } } })
 * createSluice({ router, codecs: [codec] })
 * ```
 */
export function protobufCodec({ schemas = {} }: ProtobufCodecOptions = {}): Codec {
  const formats = new Map(Object.entries(schemas).map(([path, typed]) => [path, createFormat(typed)]))
  const untyped = createFormat({})
  const types = new Map(
    Object.values(schemas)
      .flatMap(({ input, output }) => [input ?? [], output ?? []].flat())
      .map(schema => [schema.typeName, schema]),
  )
  return {
    name: nameFor(schemas),
    formatFor: path => formats.get(path ?? '') ?? untyped,
    join: concat,
    decode: (frame, bounds = {}) => decodeFrame(frame, types, bounds),
    hold: holdForFirstWord,
  }
}

/** Peers with other schemas ask for another codec: neither could read what the other sends. */
function nameFor(schemas: Readonly<Record<string, PayloadSchemas>>): string {
  const named = Object.entries(schemas).map(
    ([path, { input, output }]) => `${path}(${input?.typeName ?? ''}):${output?.typeName ?? ''}`,
  )
  return named.length === 0 ? 'protobuf' : `protobuf-${tagOfLog(named.sort().join())}`
}

function createFormat(typed: PayloadSchemas): Format<Uint8Array> {
  const head = ({ id = null }: Pick<Message, 'id'>) =>
    toBinary(MessageSchema, create(MessageSchema, { id: toId(id) }))
  const tail = (message: Message) =>
    toBinary(MessageSchema, create(MessageSchema, { says: toSays(message, typed) }))
  return {
    encode: message => toFrame(head(message), tail(message)),
    split: {
      head,
      tail: (id, data) => tail({ result: { type: 'data', id, data: { id, data } } }),
      untrackedTail: data => tail({ result: { type: 'data', data } }),
      controlTail: type => tail({ result: { type } }),
      join: toFrame,
    },
  }
}

/** Field 1 of a frame, with its length before it. */
function toFrame(head: Uint8Array, tail: Uint8Array): Uint8Array {
  const prefix = [0x0a]
  let length = head.length + tail.length
  for (; length > 0x7f; length >>>= 7) prefix.push((length & 0x7f) | 0x80)
  prefix.push(length)
  return concat([Uint8Array.from(prefix), head, tail])
}

type Says = MessageInitShape<typeof MessageSchema>['says']

function toId(id: RequestId | null): MessageInitShape<typeof MessageSchema>['id'] {
  if (id === null) return { case: undefined }
  // What a client said in a text frame may be any number. One that is no uint32 comes back as text, and to its sender.
  const isWhole = typeof id === 'number' && id === id >>> 0
  return isWhole ? { case: 'numberId', value: id } : { case: 'textId', value: String(id) }
}

function toSays(message: Message, { input, output }: PayloadSchemas): Says {
  const { method = '', params, result, error } = message
  if (error !== undefined) return { case: 'error', value: toPayload(error) }
  const type = resultTypes[result?.type ?? '']
  if (type !== undefined && result && hasOnly(result, ['type', 'data', 'id', 'position'])) {
    const { id: eventId, position } = result
    // An event is in its envelope, which has the id a second time.
    const value = eventId === undefined ? result.data : (result.data as { readonly data: unknown }).data
    const data = type === Result_Type.DATA ? { data: toPayload(value, output) } : {}
    return { case: 'result', value: { type, eventId, position, ...data } }
  }
  const known = methods[method]
  if (known !== undefined && params && hasOnly(params, ['path', 'input', 'lastEventId', 'again', 'credit'])) {
    return { case: 'call', value: { ...params, method: known, input: toPayload(params.input, input) } }
  }
  const { id: _inHead, ...other } = message
  return { case: 'other', value: pack(other) }
}

function hasOnly(members: object, names: readonly string[]): boolean {
  return Object.keys(members).every(name => names.includes(name))
}

function toPayload(value: unknown, schema?: DescMessage): MessageInitShape<typeof PayloadSchema> {
  if (!schema || value === undefined || isSluiceItem(value)) return { value: pack(value) }
  return { type: schema.typeName, value: toBinary(schema, toTyped(value, schema)) }
}

/** @throws TypeError for a value that has what the schema does not, and would lose it. */
function toTyped(value: unknown, schema: DescMessage) {
  if (typeof value !== 'object' || value === null)
    throw new TypeError(`${quote(value)} is no ${schema.typeName}.`)
  for (const [name, member] of Object.entries(value)) {
    if (name === '$typeName' ? member === schema.typeName : name === '$unknown' || member === undefined)
      continue
    if (Object.hasOwn(schema.field, name) || schema.oneofs.some(({ localName }) => localName === name))
      continue
    throw new TypeError(
      `A value with a member ${quote(name)} is no ${schema.typeName}, which has none of that name.`,
    )
  }
  return create(schema, value as MessageInitShape<DescMessage>) // a value of the procedure whose schema it is
}

function decodeFrame(frame: Uint8Array, types: ReadonlyMap<string, DescMessage>, bounds: Bounds): Message[] {
  const maxDepth = depthWithin(bounds)
  const read = ({ type, value }: Payload): unknown => {
    if (type === '') return unpack(value, maxDepth)
    const schema = types.get(type)
    if (schema) return parse(schema, value, maxDepth)
    throw new SluiceError(
      'MESSAGE_INVALID',
      `A Protobuf frame has a ${quote(type)}, which is in no schema here.`,
    )
  }
  const messages: Message[] = []
  // One by one, and not as a FrameSchema: of those that are too many none is made.
  for (const bytes of messagesIn(frame)) {
    checkRoom(messages, bounds)
    const message = parse(MessageSchema, bytes, envelopeDepth)
    messages.push({ ...fromSays(message, read), id: message.id.value ?? null })
  }
  return messages
}

/** Message, call, payload; and room for what a later version may put inside of one. */
const envelopeDepth = 16

function* messagesIn(frame: Uint8Array): Iterable<Uint8Array> {
  const reader = new BinaryReader(frame)
  while (reader.pos < reader.len) {
    const bytes = reading('Frame', () => {
      const [number, wireType] = reader.tag()
      if (number === FrameSchema.field.messages.number && wireType === WireType.LengthDelimited)
        return reader.bytes()
      reader.skip(wireType, number)
      return null
    })
    if (bytes) yield bytes
  }
}

function fromSays({ says }: Envelope, read: (payload: Payload) => unknown): Message {
  switch (says.case) {
    case 'call': {
      const { method, path, input, lastEventId, again, credit } = says.value
      const params = {
        path,
        input: input && read(input),
        ...(lastEventId !== undefined && { lastEventId }),
        ...(again && { again: true as const }),
        ...(credit && { credit: { events: credit.events, bytes: credit.bytes } }),
      }
      return { method: wordFor(methods, method), params }
    }
    case 'result': {
      const { type, data, eventId, position } = says.value
      if (type !== Result_Type.DATA) {
        return { result: { type: wordFor(resultTypes, type), ...(position !== undefined && { position }) } }
      }
      const value = data && read(data)
      if (eventId === undefined) return { result: { type: 'data', data: value } }
      return { result: { type: 'data', id: eventId, data: { id: eventId, data: value } } }
    }
    case 'error':
      return { error: read(says.value) }
    case 'other': {
      const other = read(create(PayloadSchema, { value: says.value }))
      if (typeof other === 'object' && other !== null) return other
    }
  }
  throw new SluiceError('MESSAGE_INVALID', 'A Protobuf frame has a message that says nothing.')
}

function parse<Schema extends DescMessage>(schema: Schema, bytes: Uint8Array, recursionLimit: number) {
  return reading(schema.typeName, () =>
    fromBinary(schema, bytes, { readUnknownFields: false, recursionLimit }),
  )
}

function reading<Result>(what: string, read: () => Result): Result {
  try {
    return read()
  } catch (cause) {
    throw new SluiceError('MESSAGE_INVALID', `A Protobuf frame has bytes that are no ${what}.`, { cause })
  }
}

const methods: Readonly<Record<string, Call_Method>> = {
  query: Call_Method.QUERY,
  mutation: Call_Method.MUTATION,
  subscription: Call_Method.SUBSCRIPTION,
}
const resultTypes: Readonly<Record<string, Result_Type>> = {
  started: Result_Type.STARTED,
  data: Result_Type.DATA,
  stopped: Result_Type.STOPPED,
}

function wordFor<Value>(words: Readonly<Record<string, Value>>, value: Value): string {
  const word = Object.keys(words).find(word => words[word] === value)
  if (word !== undefined) return word
  throw new SluiceError('MESSAGE_INVALID', `A Protobuf frame has ${String(value)} where it says what it is.`)
}
