import { closeSync, existsSync, mkdirSync, openSync, readSync, realpathSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { open, type RootDatabase } from 'lmdb'
import { SluiceError, quote, toError } from '../../../shared/errors.ts'
import { decodeRow, headKey, layout, type Head } from './keys.ts'

export type Db = RootDatabase<Buffer, Buffer>

export interface OpenDb {
  readonly db: Db
  /** Lets go of it; the last one to do so closes it. Its writes must have ended. */
  close(): Promise<void>
}

/**
 * The databases that this process has open, by their real path. Opening one takes the writer lock and blocks the
 * thread until it has it. If the lock is held for a transaction of the same thread, whose callback waits for its turn
 * on the event loop, that is for ever. So a second store on the same folder shares the database of the first. The map
 * is on globalThis, for a reloaded module, or a second copy of this package, must find it too.
 */
const registry = globalThis as { [dbs]?: Map<string, { readonly db: Db; uses: number }> }
const dbs = Symbol.for('trpc-sluice.stores.lmdb')

/**
 * Opens the folder, and makes it if it is not there.
 *
 * @throws SluiceError `STORE_UNAVAILABLE` when it can't be used, with the reason.
 */
export function openDb(path: string): OpenDb {
  const shared = (registry[dbs] ??= new Map())
  try {
    mkdirSync(path, { recursive: true })
    const folder = realpathSync(path)
    checkFolder(folder)
    const opened = shared.get(folder) ?? { db: openFolder(folder), uses: 0 }
    shared.set(folder, opened)
    opened.uses += 1
    return {
      db: opened.db,
      async close() {
        opened.uses -= 1
        if (opened.uses > 0) return
        shared.delete(folder)
        await opened.db.close()
      },
    }
  } catch (thrown) {
    throw new SluiceError(
      'STORE_UNAVAILABLE',
      `The LMDB store can't use the folder ${quote(path, 200)}: ${toError(thrown).message}. Give a path to a folder that this process may create and write.`,
      { cause: thrown },
    )
  }
}

/** lmdb ends the process, rather than throw, on a foreign data file and on /dev/null (a SIGSEGV; lmdb 3.5.6). */
function checkFolder(path: string): void {
  if (!statSync(path).isDirectory()) throw new Error('it is not a folder')
  const file = join(path, 'data.mdb')
  if (!existsSync(file) || statSync(file).size === 0) return
  const head = Buffer.alloc(28)
  const descriptor = openSync(file, 'r')
  try {
    readSync(descriptor, head, 0, head.length, 0)
  } finally {
    closeSync(descriptor)
  }
  // LMDB's magic number, in the byte order of the machine.
  if (!['dec0efbe', 'beefc0de'].includes(head.toString('hex', 24))) {
    throw new Error('data.mdb in it is not a database of LMDB')
  }
}

function openFolder(path: string): Db {
  const db = open<Buffer, Buffer>({
    path,
    noSubdir: false,
    encoding: 'binary',
    keyEncoding: 'binary',
    // A commit is then visible only once it is on disk: nobody, in no process, reads what a power cut could take
    // back. It is also the faster way for us, who wait for the disk anyhow: 0.5 ms an append alone, against 0.6 ms
    // with overlapping sync (Node 20, lmdb 3.5.6).
    overlappingSync: false,
    // Batches are made by our writer. With lmdb's own, a failing commit also rejects a promise that nobody can
    // reach, and an unhandled rejection ends the process.
    eventTurnBatching: false,
  })
  const head = decodeRow<Head>(db.get(headKey))
  if (head && head.layout !== layout) {
    void db.close()
    throw new Error(`its layout is number ${head.layout}, and this version of Sluice reads ${layout}`)
  }
  return db
}
