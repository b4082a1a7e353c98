// Mutations that are sent whatever becomes of the connection
export { createOutbox, type Outbox, type OutboxOptions } from './outbox.ts'
export type { OutboxEntry } from './item.ts'
export { indexedDbOutboxStorage } from './indexed-db.ts'
export { memoryOutboxStorage, type OutboxStorage, type StoredMutation } from './storage.ts'
