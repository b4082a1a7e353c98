/**
 * A process that publishes to a log of an LMDB store until it has done its share, or is killed. It says on its
 * standard output, one JSON line each, what was acknowledged and what its watcher saw. Lines are written synchronously:
 * what it said before it was killed has been said.
 */
import { writeSync } from 'node:fs'
import { lmdbStore } from '../../../server/stores/lmdb/index.ts'
import { isSluiceError } from '../../../shared/errors.ts'
import { payloadOf } from './payload.ts'

export interface PublisherOptions {
  readonly path: string
  readonly log: string
  /** Goes into each payload, so that no two publishers write the same. */
  readonly writer: string
  /** Appends under way at once. */
  readonly lanes: number
  /** Appends in all; until it is killed if left out. */
  readonly appends?: number
  /** Watches the log, and ends only when it has seen so many records. */
  readonly watchFor?: number
}

export type PublisherLine =
  | { readonly acknowledged: ReadonlyArray<{ readonly offset: number; readonly number: number }> }
  | { readonly refused: string }
  | { readonly saw: readonly number[] }

const options = JSON.parse(process.argv[2] ?? '{}') as PublisherOptions
const { path, log, writer, lanes, appends = Infinity, watchFor = 0 } = options
const store = lmdbStore({ path })
let number = 0
let started = 0

const watching = watchFor > 0 ? watch() : Promise.resolve()
await Promise.all(Array.from({ length: lanes }, publish))
await watching
await store.close()

function say(line: PublisherLine): void {
  let rest = Buffer.from(`${JSON.stringify(line)}\n`)
  while (rest.length > 0) rest = rest.subarray(writeSome(rest))
}

/** The pipe takes what it has room for; it has none while the reader is busy. */
function writeSome(bytes: Buffer): number {
  try {
    return writeSync(1, bytes)
  } catch (thrown) {
    if (!(thrown instanceof Error && 'code' in thrown && thrown.code === 'EAGAIN')) throw thrown
    return 0
  }
}

async function publish(): Promise<void> {
  while (started < appends) {
    started += 1
    const batch = Array.from({ length: 1 + (started % 3) }, () => ++number)
    try {
      const { offsets } = await store.append(
        log,
        batch.map(each => ({ payload: payloadOf(writer, each), at: Date.now() })),
      )
      say({ acknowledged: batch.map((each, index) => ({ offset: offsets[index] ?? 0, number: each })) })
    } catch (thrown) {
      if (!isSluiceError(thrown)) throw thrown
      say({ refused: thrown.code })
    }
  }
}

async function watch(): Promise<void> {
  const saw: number[] = []
  let wake = () => {}
  const stop = store.watch(log, () => wake())
  // Nobody else keeps this process alive while it only waits for what another one appends.
  const alive = setInterval(() => {}, 1000)
  while (saw.length < watchFor) {
    const changed = new Promise<void>(resolve => (wake = resolve))
    const { records } = await store.read(log, saw.at(-1) ?? 0, { maxEvents: 100, maxBytes: 1_000_000 })
    saw.push(...records.map(({ offset }) => offset))
    if (records.length === 0) await changed
  }
  clearInterval(alive)
  stop()
  say({ saw })
}
