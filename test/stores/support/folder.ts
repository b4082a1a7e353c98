import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A new empty folder for one test. */
export async function createFolder() {
  const path = await mkdtemp(join(tmpdir(), 'sluice-store-'))
  return { path, remove: () => rm(path, { recursive: true, force: true }) }
}
