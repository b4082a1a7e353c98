/** What is particular to LMDB: the folder, its flushes, its space. */
import { mkdir, stat, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { lmdbStore, type LmdbStoreOptions } from 'trpc-sluice/stores/lmdb'
import { createFakeClock, eventually } from 'trpc-sluice/testing'
import { expect, test } from 'vitest'
import { openDb } from '../../server/stores/lmdb/open.ts'
import { createFolder } from './support/folder.ts'

const everything = { maxEvents: 1_000_000, maxBytes: 1_000_000_000 }
const text = (value: string) => new TextEncoder().encode(value)
const record = (value: string, at = Date.now()) => ({ payload: text(value), at })

async function withFolder(body: (path: string) => Promise<void>): Promise<void> {
  const folder = await createFolder()
  try {
    await body(folder.path)
  } finally {
    await folder.remove()
  }
}

const withStore = (
  options: Omit<LmdbStoreOptions, 'path'>,
  body: (store: ReturnType<typeof lmdbStore>, path: string) => Promise<void>,
) =>
  withFolder(async path => {
    const store = lmdbStore({ path, ...options })
    try {
      await body(store, path)
    } finally {
      await store.close()
    }
  })

/** How many keys of a kind there are, seen past the store. */
async function countKeys(path: string, kind: string): Promise<number> {
  const { db, close } = openDb(path)
  const start = Buffer.from(kind)
  const end = Buffer.from([start.readUInt8(0) + 1])
  db.resetReadTxn()
  const count = db.getKeysCount({ start, end })
  await close()
  return count
}

test('a thousand appends at once share a few flushes', () =>
  withStore({}, async store => {
    const before = store.counters.transactions
    await Promise.all(
      Array.from({ length: 1000 }, (_, index) => store.append('room', [record(String(index))])),
    )
    expect(await store.describe('room')).toMatchObject({ first: 1, last: 1000 })
    expect(store.counters.transactions - before).toBeLessThanOrEqual(10)
    expect(store.counters.jobs).toBeGreaterThanOrEqual(1000)
  }))

test('one append that is refused does not harm those that share its flush', () =>
  withStore({}, async store => {
    const outcomes = await Promise.allSettled([
      store.append('room', [record('1')]),
      store.append('room', [record('refused')], { expectLast: 7 }),
      store.append('room', [record('2')]),
    ])
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(await store.describe('room')).toMatchObject({ last: 2 })
  }))

test('all that was written is there when the folder is opened again', () =>
  withFolder(async path => {
    const first = lmdbStore({ path })
    const once = { ...record('once'), idempotencyKey: 'k' }
    const { epoch } = await first.append('room', [once, record('2')], { retain: { maxEvents: 1 } })
    await first.saveCheckpoint('room', { epoch, offset: 2, payload: text('folded') })
    await first.acquireLease('run', 'first', 60_000)
    await first.append('gone', [record('x')])
    await first.remove('gone')
    await first.close()

    const second = lmdbStore({ path })
    expect(await second.describe('room')).toEqual({ epoch, first: 2, last: 2 })
    expect((await second.read('room', 0, everything)).records).toMatchObject([{ payload: text('2') }])
    expect(await second.append('room', [once])).toEqual({ epoch, offsets: [1], duplicates: [true] })
    expect(await second.loadCheckpoint('room')).toEqual({ epoch, offset: 2, payload: text('folded') })
    expect(await second.acquireLease('run', 'second', 60_000)).toBe(false)
    expect(await second.acquireLease('run', 'first', 60_000)).toBe(true)
    expect(await second.describe('gone')).toBeNull()
    await second.close()
  }))

test('time that passes while the folder is closed takes its effect', () =>
  withFolder(async path => {
    const clock = createFakeClock({ now: 1_700_000_000_000 })
    const first = lmdbStore({ path, clock })
    await first.append('aged', [record('1', clock.now())], { retain: { maxAgeMs: 1000 } })
    await first.append('expired', [record('1', clock.now())])
    await first.expire('expired', clock.now() + 1000)
    await first.close()
    await clock.advance(5000)
    const second = lmdbStore({ path, clock })
    expect(await second.describe('aged')).toMatchObject({ first: 2, last: 1 })
    expect(await second.describe('expired')).toBeNull()
    // Opening is enough to have the space back; nobody has to append.
    await second.close()
    expect(await countKeys(path, 'r')).toBe(0)
    expect(await countKeys(path, 'd')).toBe(0)
  }))

test('what time takes from logs, leases and keys that nobody touches is deleted along with other writes', () => {
  const clock = createFakeClock({ now: 1_700_000_000_000 })
  return withStore({ clock }, async (store, path) => {
    for (let log = 0; log < 40; log++) {
      const once = { ...record('1', clock.now()), idempotencyKey: 'k' }
      await store.append(`aged ${log}`, [once], { retain: { maxAgeMs: 1000 }, dedupWindowMs: 1000 })
      await store.append(`expired ${log}`, [record('1', clock.now())])
      await store.expire(`expired ${log}`, clock.now() + 1000)
      await store.acquireLease(`lease ${log}`, 'owner', 1000)
    }
    expect(await countKeys(path, 'd')).toBe(160)
    await clock.advance(5000)
    await store.append('other', [record('1')])
    await eventually(async () => (await countKeys(path, 'd')) === 0, { what: 'all that is due to be done' })
    expect(await countKeys(path, 'l')).toBe(41)
    expect(await countKeys(path, 'r')).toBe(1)
    expect(await countKeys(path, 's')).toBe(0)
    expect(await countKeys(path, 'k')).toBe(0)
  })
})

const recordsUpTo = (count: number) => Array.from({ length: count }, (_, index) => record(String(index)))

test('a long log is shortened at once, and deleted little by little', () =>
  withStore({}, async (store, path) => {
    await store.append('long', recordsUpTo(5000))
    await Promise.all([store.trim('long', { maxEvents: 2000 }), store.trim('long', { maxEvents: 10 })])
    expect(await store.describe('long')).toMatchObject({ first: 4991, last: 5000 })
    expect(await countKeys(path, 'r')).toBeGreaterThan(4000)
    await eventually(async () => (await countKeys(path, 'r')) === 10, {
      what: 'the old records to be deleted',
    })
    expect((await store.read('long', 0, everything)).records).toHaveLength(10)
  }))

test('a long log is removed at once, and deleted little by little', () =>
  withStore({}, async (store, path) => {
    const { epoch } = await store.append('long', recordsUpTo(5000))
    await store.saveCheckpoint('long', { epoch, offset: 5000, payload: text('folded') })
    await store.remove('long')
    expect(await countKeys(path, 'p')).toBe(0)
    expect(await store.describe('long')).toBeNull()
    expect(await countKeys(path, 'r')).toBeGreaterThan(4000)
    await store.append('long', [record('reborn')])
    await eventually(async () => (await countKeys(path, 'r')) === 1, {
      what: 'the old records to be deleted',
    })
    expect(await countKeys(path, 'g')).toBe(0)
    expect((await store.read('long', 0, everything)).records).toHaveLength(1)
  }))

test('the file stops growing once retention is reached', () =>
  withStore({}, async (store, path) => {
    const size = async () => (await stat(join(path, 'data.mdb'))).size
    const publish = async (rounds: number) => {
      for (let round = 0; round < rounds; round++) {
        const batch = Array.from({ length: 20 }, () =>
          store.append('room', [record('x'.repeat(1000))], retention),
        )
        await Promise.all(batch)
      }
    }
    const retention = { retain: { maxEvents: 200 } }
    await publish(50)
    const settled = await size()
    await publish(150)
    expect(await size()).toBeLessThan(settled * 1.5)
    expect(await countKeys(path, 'r')).toBe(200)
  }))

test('a watcher that lags behind by more than the ring of changes is told all the same', () =>
  withFolder(async path => {
    // One look in a very long time: the test decides when, by what the other handle has done until then.
    const watching = lmdbStore({ path, pollMs: 300 })
    const writing = lmdbStore({ path })
    let isCalled = false
    watching.watch('room', () => (isCalled = true))
    await writing.append('room', [record('1')])
    await Promise.all(
      Array.from({ length: 5000 }, (_, index) => writing.append(`log ${index}`, [record('1')])),
    )
    await eventually(() => isCalled, { what: 'the watcher to be called' })
    await Promise.all([watching.close(), writing.close()])
  }))

test('a second store on the same folder of this process shares it, while the first one writes', () =>
  withStore({}, async (store, path) => {
    for (let round = 0; round < 20; round++) {
      const append = store.append('room', [record('1')])
      // The writer lock is taken about now, for a callback that waits for this very turn to end.
      await new Promise(setImmediate)
      const second = lmdbStore({ path: `${path}/../${basename(path)}` })
      await Promise.all([append, second.append('room', [record('2')])])
      await second.close()
    }
    await store.append('room', [record('3')])
    expect(await store.describe('room')).toMatchObject({ last: 41 })
  }))

test('a change by another way is not overlooked because one of our own came right after', () =>
  withStore({ pollMs: 200 }, async (store, path) => {
    const other = lmdbStore({ path })
    let isCalled = false
    store.watch('room', () => (isCalled = true))
    await other.append('room', [record('1')])
    await store.append('own', [record('1')])
    await eventually(() => isCalled, { what: 'the watcher to be called' })
    await other.close()
  }))

test('a folder that can not be used is refused at once, with the reason', () =>
  withFolder(async path => {
    const file = join(path, 'file')
    await writeFile(file, 'not a folder')
    for (const wrong of [file, join(file, 'below'), '/dev/null']) {
      expect(() => lmdbStore({ path: wrong })).toThrow(
        expect.objectContaining({
          code: 'STORE_UNAVAILABLE',
          message: expect.stringContaining(JSON.stringify(wrong)),
        }),
      )
    }
    const foreign = join(path, 'foreign')
    await mkdir(foreign)
    await writeFile(join(foreign, 'data.mdb'), 'not a database')
    expect(() => lmdbStore({ path: foreign })).toThrow('not a database of LMDB')
  }))

test('a folder of a newer layout is refused rather than misread', () =>
  withFolder(async path => {
    const { db, close } = openDb(path)
    await db.put(Buffer.from('h'), Buffer.from(JSON.stringify({ layout: 2, changes: 0, lastId: 0 })))
    await close()
    expect(() => lmdbStore({ path })).toThrow('layout is number 2')
  }))
