// The link
export { sluiceLink, type SluiceLink } from './link.ts'
export type { ConnectionParams, SluiceLinkOptions, WebSocketConstructor, WebSocketLike } from './options.ts'

// The state of its connection
export type { ConnectionView } from './connection/connection.ts'
export type { ConnectionState, Reason, TransportKind, Via } from './connection/machine.ts'

// Subscriptions without callbacks
export {
  iterate,
  type EventOf,
  type EventStream,
  type InputOf,
  type IterateOptions,
} from './subscriptions/iterate.ts'
export type { SubscriptionProcedure } from './subscriptions/iterate.ts'

// What a client meets
export { errorTable, isSluiceError, SluiceError, type SluiceErrorCode } from '../shared/errors.ts'
export {
  foldItem,
  isGap,
  isRunEnd,
  isSnapshot,
  type Fold,
  type Gap,
  type Lag,
  type RunEnd,
  type Snapshot,
} from '../shared/items.ts'
