// Subscriptions
export {
  skipToken,
  useStream,
  type EventsStream,
  type FoldedStream,
  type UseStreamOptions,
} from './use-stream.ts'
export type { StreamStatus } from './stream-store.ts'

// The outbox
export { useOutbox, type OutboxView } from './use-outbox.ts'

// The connection
export { SluiceProvider, type SluiceProviderProps } from './provider.tsx'
export { useConnection, type ConnectionInfo } from './use-connection.ts'
