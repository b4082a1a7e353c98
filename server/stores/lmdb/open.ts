import { mkdirSync, statSync } from 'node:fs'
import { open, type RootDatabase } from 'lmdb'
import { SluiceError, quote, toError } from '../../../shared/errors.ts'
import { decodeRow, headKey, layout, type Head } from './keys.ts'

export type Db = RootDatabase<Buffer, Buffer>

/**
 * Opens the folder, and makes it if it is not there.
 *
 * @throws SluiceError `STORE_UNAVAILABLE` when it can't be used, with the reason.
 */
export function openDb(path: string): Db {
  try {
    mkdirSync(path, { recursive: true })
    // lmdb itself ends the process, rather than throw, on some paths that are not folders (/dev/null; lmdb 3.5.6).
    if (!statSync(path).isDirectory()) throw new Error('it is not a folder')
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
  } catch (thrown) {
    throw new SluiceError(
      'STORE_UNAVAILABLE',
      `The LMDB store can't use the folder ${quote(path, 200)}: ${toError(thrown).message}. Give a path to a folder that this process may create and write.`,
      { cause: thrown },
    )
  }
}
