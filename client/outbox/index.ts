// Mutations that are sent whatever becomes of the connection
export { createOutbox, type Outbox, type OutboxEntry, type OutboxOptions } from './outbox.ts'
export { indexedDbOutboxStorage } from './indexed-db.ts'
export { memoryOutboxStorage, type OutboxStorage, type StoredMutation } from './storage.ts'
