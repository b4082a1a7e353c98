// Async-generator tools
export { closing, type Closing } from './iterate/closing.ts'
export { withSignal, type WithSignalOptions } from './iterate/with-signal.ts'
export { fromReadableStream, toReadableStream } from './iterate/web-streams.ts'
export { streamOf, trackedStreamOf, type StreamOfOptions } from './iterate/stream-of.ts'

// Schemas
export { byteStream, once, resumable, type ByteSource } from './schema.ts'

// What a topic delivers
export {
  foldItem,
  isGap,
  isRunEnd,
  isSnapshot,
  type Fold,
  type Gap,
  type GapReason,
  type RunEnd,
  type RunOutcome,
  type Snapshot,
} from './items.ts'

// Errors
export { errorTable, isSluiceError, SluiceError, type Retry, type SluiceErrorCode } from './errors.ts'

// Life-cycles and time
export { Scope } from './scope.ts'
export { systemClock, type Clock, type Timer } from './clock.ts'
