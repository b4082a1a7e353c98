// Serving a router
export { createSluice, type Sluice } from './sluice.ts'
export { serve, type Served, type ServeOptions } from './serve.ts'
export type { AuthOptions, DrainOptions, ErrorReport, SluiceOptions } from './options.ts'
export type { RunningSubscription } from './procedures/authority.ts'
export type { FetchContextOptions, NodeContextOptions } from './carriers/context.ts'
export type { AllowedOrigins } from './carriers/upgrade.ts'
export type { KeepAlive } from './session/liveness.ts'
export type { CallObserver, Observation, ObservedCall } from './observe/calls.ts'
export type { SluiceStats } from './observe/stats.ts'
export type { Codec } from '../shared/codec/codec.ts'

// Moving over from tRPC's own adapters
export { applyWSSHandler, createHTTPHandler } from './stock.ts'

// Mutations that may be sent again
export { idempotent, type IdempotentOptions } from './procedures/idempotent.ts'

// Topics: durable, typed streams
export {
  createTopic,
  type Published,
  type PublishOptions,
  type SubscribeOptions,
  type Topic,
  type TopicItem,
  type TopicOptions,
} from './topics/topic.ts'
export type { HistoryEvent, HistoryOptions, HistoryPage } from './topics/history.ts'
export type { TopicStream } from './topics/stream.ts'
export type { GapPolicy } from './topics/reader.ts'
export type { WhenSlow } from './topics/when-slow.ts'

// Runs: streams that outlive their request
export { createRun, type RunItem, type RunOptions, type RunProcedures } from './topics/runs/run.ts'
export type { RunHandlerOptions, RunStatus } from './topics/runs/runs.ts'

// Stores
export { memoryStore, type MemoryStoreOptions } from './stores/memory.ts'
export type {
  AppendOptions,
  Appended,
  Checkpoint,
  LogState,
  NewRecord,
  Page,
  ReadBounds,
  Retention,
  Store,
  StoredRecord,
} from './stores/store.ts'

// Schemas and errors, for those who import from the server alone
export { byteStream, once, resumable, type ByteSource } from '../shared/schema.ts'
export { isSluiceError, SluiceError } from '../shared/errors.ts'
