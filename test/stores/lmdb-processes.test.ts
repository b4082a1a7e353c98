/** Several processes on one folder, and processes that die. */
import { lmdbStore, type LmdbStore } from 'trpc-sluice/stores/lmdb'
import { createFakeClock } from 'trpc-sluice/testing'
import { expect, test } from 'vitest'
import { runPublisher, startPublisher, type Publisher } from './support/child.ts'
import { createFolder } from './support/folder.ts'
import { parsePayload, payloadOf } from './support/payload.ts'

const everything = { maxEvents: 1_000_000, maxBytes: 1_000_000_000 }
const upTo = (last: number) => Array.from({ length: last }, (_, index) => index + 1)

/** Follows a log by its watcher, and collects the offsets in the order in which they came. */
function follow(store: LmdbStore, log: string) {
  const seen: number[] = []
  let reading = Promise.resolve()
  const readOn = () => {
    reading = reading.then(async () => {
      const page = await store.read(log, seen.at(-1) ?? 0, everything)
      seen.push(...page.records.map(({ offset }) => offset))
    })
  }
  store.watch(log, readOn)
  readOn()
  return seen
}

/** The log is dense, no record is torn or doubled, and all that was acknowledged is where it was said to be. */
async function expectIntact(store: LmdbStore, log: string, publishers: ReadonlyMap<string, Publisher>) {
  const { records } = await store.read(log, 0, everything)
  expect(records.map(({ offset }) => offset)).toEqual(upTo(records.length))
  const written = records.map(({ payload }) => {
    const { writer, number } = parsePayload(payload)
    return `${writer} ${number}`
  })
  expect(new Set(written).size).toBe(written.length)
  let acknowledged = 0
  for (const [writer, { lines }] of publishers) {
    for (const line of lines) {
      if (!('acknowledged' in line)) continue
      for (const { offset, number } of line.acknowledged) {
        expect(written[offset - 1]).toBe(`${writer} ${number}`)
        acknowledged += 1
      }
    }
  }
  return { acknowledged, written: written.length }
}

test('processes killed while they publish lose nothing that was acknowledged, and leave the log whole', async () => {
  const folder = await createFolder()
  const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000)
  const { random } = createFakeClock({ seed })
  const store = lmdbStore({ path: folder.path })
  const publishers = new Map<string, Publisher>()
  const seen = follow(store, 'room')
  try {
    for (let round = 0; round < 4; round++) {
      // Six at once, each killed at a point of its own: now and then one dies while it holds the writer lock.
      await Promise.all(
        upTo(6).map(async place => {
          const writer = `${round}.${place}`
          const publisher = startPublisher({ path: folder.path, log: 'room', writer, lanes: 4 })
          publishers.set(writer, publisher)
          await publisher.said(1 + Math.floor(random() * 40))
          publisher.kill()
          expect(await publisher.ended()).toBeNull()
        }),
      )
      // In turn: a handle that lived through the deaths, and a new one.
      const fresh = lmdbStore({ path: folder.path })
      await expectIntact(round % 2 === 0 ? store : fresh, 'room', publishers)
      await fresh.close()
    }
    // A commit whose process died at its very last step, before anybody heard of it, shows with the next one.
    const { offsets } = await store.append('room', [{ payload: payloadOf('last', 1), at: Date.now() }])
    const { acknowledged, written } = await expectIntact(store, 'room', publishers)
    expect(acknowledged).toBeGreaterThan(24)
    expect(offsets).toEqual([written])
    await expect.poll(() => seen.length, { timeout: 10_000 }).toBe(written)
    expect(seen).toEqual(upTo(written))
  } catch (thrown) {
    throw new Error(`With SEED=${seed}: ${String(thrown)}`, { cause: thrown })
  } finally {
    for (const publisher of publishers.values()) publisher.kill()
    await store.close()
    await folder.remove()
  }
})

test('two processes append to one log: it is dense and complete, and the watcher of each sees all of it', async () => {
  const folder = await createFolder()
  const store = lmdbStore({ path: folder.path })
  const appends = 300
  // Appends carry 2, 3 and 1 records in turn, in the child as here.
  const records = appends * 2 * 2
  const child = startPublisher({
    path: folder.path,
    log: 'room',
    writer: 'child',
    lanes: 10,
    appends,
    watchFor: records,
  })
  try {
    const seen = follow(store, 'room')
    await child.said(1)
    let number = 0
    await Promise.all(
      upTo(10).map(async () => {
        for (let each = 0; each < appends / 10; each++) {
          const payloads = [payloadOf('parent', ++number), payloadOf('parent', ++number)]
          await store.append(
            'room',
            payloads.map(payload => ({ payload, at: Date.now() })),
          )
        }
      }),
    )
    expect(await child.ended()).toBe(0)
    const { acknowledged, written } = await expectIntact(store, 'room', new Map([['child', child]]))
    expect({ acknowledged, written }).toEqual({ acknowledged: records / 2, written: records })
    await expect.poll(() => seen.length, { timeout: 10_000 }).toBe(records)
    expect(seen).toEqual(upTo(records))
    expect(child.lines.find(line => 'saw' in line)).toEqual({ saw: upTo(records) })
  } finally {
    child.kill()
    await store.close()
    await folder.remove()
  }
})

test('a read sees what another process appended since the last one, also in the same turn', async () => {
  const folder = await createFolder()
  const store = lmdbStore({ path: folder.path })
  try {
    expect(await store.describe('room')).toBeNull()
    // This process stands still meanwhile: no timer and no event lets go of the snapshot just read.
    runPublisher({ path: folder.path, log: 'room', writer: 'w', lanes: 1, appends: 1 })
    expect(await store.describe('room')).toMatchObject({ last: 2 })
  } finally {
    await store.close()
    await folder.remove()
  }
})

test('a disk that is full refuses appends in a typed way, and keeps what was acknowledged', async () => {
  const folder = await createFolder()
  const options = { path: folder.path, log: 'room', writer: 'w', lanes: 2, appends: 2000 }
  const publisher = startPublisher(options, 2000)
  try {
    expect(await publisher.ended()).toBe(0)
    const refused = publisher.lines.flatMap(line => ('refused' in line ? [line.refused] : []))
    expect(refused.length).toBeGreaterThan(0)
    expect(new Set(refused)).toEqual(new Set(['STORE_UNAVAILABLE']))
    const store = lmdbStore({ path: folder.path })
    const { acknowledged, written } = await expectIntact(store, 'room', new Map([['w', publisher]]))
    expect(written).toBe(acknowledged)
    await store.append('room', [{ payload: payloadOf('w', 1_000_000), at: Date.now() }])
    await store.close()
  } finally {
    publisher.kill()
    await folder.remove()
  }
})
