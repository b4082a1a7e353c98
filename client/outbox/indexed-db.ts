/**
 * An outbox that survives a reload, in the browser's IndexedDB. All tabs share it; each sends its own mutations, in
 * order, and those of tabs that are gone are sent by one that lives. A tab shows that it lives by a Web Lock, which the
 * browser takes back when the tab ends, however it ends.
 */
import { openDB, type DBSchema, type IDBPDatabase } from 'idb'
import type { OutboxStorage, StoredMutation } from './storage.ts'

interface Schema extends DBSchema {
  mutations: { key: string; value: StoredMutation }
}

/**
 * Needs a secure context (https, or localhost), as IndexedDB's companions do: Web Locks and `crypto.randomUUID`.
 *
 * @param name of the database; give each user of a shared browser their own, for keys are refused from another user.
 */
export function indexedDbOutboxStorage(name = 'sluice-outbox'): OutboxStorage {
  let opened: Promise<IDBPDatabase<Schema>> | null = null
  const database = () => (opened ??= open())
  /** Whatever closes it, or keeps it from being opened: the next use opens it again. */
  const forget = () => (opened = null)
  const open = () => {
    const opening = openDB<Schema>(name, 1, {
      upgrade: db => void db.createObjectStore('mutations', { keyPath: 'id' }),
      // Another tab wants a newer version, or somebody clears the data of the site.
      blocking(_current, _blocked, event) {
        forget()
        ;(event.target as IDBDatabase).close()
      },
      terminated: forget, // by the browser
    })
    opening.catch(forget) // and whoever waits for it is told
    return opening
  }
  return {
    load: async () => (await database()).getAll('mutations'),
    async put(mutation) {
      const transaction = (await database()).transaction('mutations', 'readwrite', { durability: 'strict' })
      await Promise.all([transaction.store.put(mutation), transaction.done])
    },
    delete: async id => (await database()).delete('mutations', id),
    claim: owner =>
      new Promise((resolve, reject) => {
        const hold = (lock: Lock | null) => {
          if (lock) return new Promise<void>(release => resolve(() => release()))
          resolve(null)
          return undefined
        }
        navigator.locks.request(`${name}/${owner}`, { ifAvailable: true }, hold).catch(reject)
      }),
  }
}
