/** What the showcase's two sides say to each other. Imported by the server, which checks it, and by the page. */
import { z } from 'zod'

// People and places

export const PersonName = z.string().trim().min(1, 'A name needs at least one letter.').max(32)

/** Also the key of the room's log, and a part of its address. */
export const RoomId = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/, 'Up to 32 of a–z, 0–9 and hyphens, please.')

/** Milliseconds since the epoch, by the server's clock. */
const Time = z.number().int().nonnegative()

// Chat

export const NewMessage = z.object({
  /** Made by the page: a message that is sent again, because its fate was unknown, is still posted once. */
  id: z.uuid(),
  room: RoomId,
  author: PersonName,
  text: z.string().trim().min(1).max(4000),
})
export type NewMessage = z.infer<typeof NewMessage>

export const RoomEvent = NewMessage.omit({ room: true }).extend({
  kind: z.literal('message'),
  sentAt: Time,
})
export type RoomEvent = z.infer<typeof RoomEvent>

/** What happens to the list of rooms. */
export const LobbyEvent = z.object({
  kind: z.literal('opened'),
  room: RoomId,
  by: PersonName,
  at: Time,
})
export type LobbyEvent = z.infer<typeof LobbyEvent>

// Assistant

export const ConversationId = z.uuid()

export const Question = z.object({
  conversation: ConversationId,
  text: z.string().trim().min(1).max(4000),
  by: PersonName,
})
export type Question = z.infer<typeof Question>

/** A piece of an answer, as the model gave it. */
export const AnswerPiece = z.object({ text: z.string() })
export type AnswerPiece = z.infer<typeof AnswerPiece>

export const AnswerResult = z.object({
  model: z.string(),
  pieces: z.number().int(),
  tookMs: z.number(),
  /** `length`: the model was cut off at its limit. */
  finish: z.enum(['stop', 'length']),
})
export type AnswerResult = z.infer<typeof AnswerResult>

/** How the model's endpoint can fail an answer, by tRPC's code for it, in a few words for the page. */
export const endpointFailures = {
  BAD_GATEWAY: 'The model broke off',
  BAD_REQUEST: 'The model refused',
  FORBIDDEN: 'The model refused',
  GATEWAY_TIMEOUT: 'The model fell silent',
  NOT_FOUND: 'The model is not there',
  SERVICE_UNAVAILABLE: 'The model cannot be reached',
  TOO_MANY_REQUESTS: 'The model is busy',
  UNAUTHORIZED: 'The model refused',
} as const
export type EndpointFailure = keyof typeof endpointFailures

/** What happens in one conversation. The answers themselves are runs: `answer` is the run's id. */
export const ConversationEvent = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('asked'), answer: z.uuid(), text: z.string(), by: PersonName, at: Time }),
  z.object({ kind: z.literal('answered'), answer: z.uuid(), text: z.string() }),
])
export type ConversationEvent = z.infer<typeof ConversationEvent>

/** What happens to the list of conversations. */
export const LibraryEvent = z.object({
  kind: z.literal('began'),
  conversation: ConversationId,
  title: z.string(),
  by: PersonName,
  at: Time,
})
export type LibraryEvent = z.infer<typeof LibraryEvent>
