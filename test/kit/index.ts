// The whole application in one process
export {
  createHarness,
  type ClientOptions,
  type Harness,
  type HarnessClient,
  type HarnessOptions,
  type ServerOptions,
} from './harness.ts'
export type { Recording, RecordOptions } from './recording.ts'

// Faults
export { createFaultProxy, type CutOptions, type FaultProxy, type FaultProxyOptions } from './fault-proxy.ts'

// What a subscriber saw
export {
  createRecorder,
  type Recorder,
  type RecorderOptions,
  type Report,
  type UntilOptions,
} from './recorder.ts'

// Time
export { createFakeClock, seededRandom, type FakeClock, type FakeClockOptions } from './fake-clock.ts'
export { eventually, type EventuallyOptions } from './deadline.ts'
