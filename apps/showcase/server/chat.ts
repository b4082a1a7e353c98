/** Chat: one durable log a room, and one more for the list of rooms. */
import { createTopic, type Store } from 'trpc-sluice/server'
import { resumable } from 'trpc-sluice/shared'
import { z } from 'zod'
import { lobbyFold } from '../shared/folds.ts'
import { LobbyEvent, NewMessage, PersonName, RoomEvent, RoomId } from '../shared/schemas.ts'
import { procedure, router } from './trpc.ts'

export function createChat(store: Store) {
  // A reader who was away for more than ten thousand messages goes on with what is left, and is told.
  const room = createTopic({
    name: 'room',
    event: RoomEvent,
    store,
    retain: { maxEvents: 10_000 },
    onGap: 'latest',
  })
  const lobby = createTopic({ name: 'lobby', event: LobbyEvent, store, fold: lobbyFold })

  return router({
    onLobby: procedure
      .input(resumable())
      .subscription(({ input, signal }) => lobby.subscribe('all', { after: input.lastEventId, signal })),

    open: procedure
      .input(z.object({ room: RoomId, by: PersonName }))
      .mutation(({ input }) =>
        lobby.publish('all', { kind: 'opened', ...input, at: Date.now() }, { idempotencyKey: input.room }),
      ),

    /** A page of history, oldest message first; `end` is where `onRoom` goes on. */
    read: procedure
      .input(
        z.object({ room: RoomId, cursor: z.string().nullish(), limit: z.int().min(1).max(200).default(50) }),
      )
      .query(({ input }) => room.read(input.room, { before: input.cursor ?? undefined, limit: input.limit })),

    onRoom: procedure
      .input(resumable({ room: RoomId }))
      .subscription(({ input, signal }) => room.subscribe(input.room, { after: input.lastEventId, signal })),

    send: procedure
      .input(NewMessage)
      .mutation(({ input: { room: key, ...message } }) =>
        room.publish(
          key,
          { kind: 'message', ...message, sentAt: Date.now() },
          { idempotencyKey: message.id },
        ),
      ),
  })
}
