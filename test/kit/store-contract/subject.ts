/** What the contract needs to know of a store, and the few words in which its tests are written. */
import { expect } from 'vitest'
import type { NewRecord, Page, Store } from '../../../server/stores/store.ts'
import { SluiceError, type SluiceErrorCode } from '../../../shared/errors.ts'

export interface StoreContractOptions {
  /** Stands in the name of each test. */
  readonly name: string
  /** Opens a fresh and empty store; called once for each test. */
  open(): StoreSubject | Promise<StoreSubject>
  /** How many random programs to compare with the model. Default 100. */
  readonly runs?: number
}

export interface StoreSubject {
  readonly store: Store
  /** The time by which the store goes. */
  now(): number
  /** Lets so much time pass: of a fake clock, or really, where the engine has a clock of its own. */
  advance(ms: number): Promise<void>
  /** Another way to the same logs, as from another process; the store itself, where there is none. */
  again(): Store | Promise<Store>
  /** Closes all that was opened, and removes the data. */
  close(): Promise<void>
}

export type TestBody = (store: Store, subject: StoreSubject) => Promise<void>

/** Runs the body on a fresh store, and cleans up after it whatever happens. */
export function onFreshStore(options: StoreContractOptions, body: TestBody): () => Promise<void> {
  return async () => {
    const subject = await options.open()
    try {
      await body(subject.store, subject)
    } finally {
      await subject.close()
    }
  }
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** A time that no retention of these tests reaches, for tests in which time plays no part. */
const anyTime = 1_700_000_000_000

export const record = (text: string, rest: Partial<NewRecord> = {}): NewRecord => ({
  payload: encoder.encode(text),
  at: anyTime,
  ...rest,
})

/** Records with the texts '1' to 'n', or from a number on. */
export const numbered = (count: number, from = 1): NewRecord[] =>
  Array.from({ length: count }, (_, index) => record(String(from + index)))

export const everything = { maxEvents: 1_000_000, maxBytes: 1_000_000_000 }

export const offsetsOf = (page: Page) => page.records.map(({ offset }) => offset)
export const textsOf = (page: Page) => page.records.map(({ payload }) => decoder.decode(payload))

export async function expectCode(outcome: Promise<unknown>, code: SluiceErrorCode): Promise<SluiceError> {
  const error: unknown = await outcome.then(
    value => expect.fail(`expected ${code}, but it resolved with ${JSON.stringify(value)}`),
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof SluiceError)) throw error
  expect(error.code, error.message).toBe(code)
  return error
}
