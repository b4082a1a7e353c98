/** Where an outbox keeps what has not been sent. */

/** A mutation that waits to be sent, or for its answer. */
export interface StoredMutation {
  /** Its idempotency key, under which a server runs it once. */
  readonly id: string
  readonly path: string
  readonly input: unknown
  /** When it was made, in milliseconds since the epoch. */
  readonly at: number
  /** The page or process that sends it, as long as that lives. */
  readonly owner: string
  /** Counts up within its owner: the order in which it is sent. */
  readonly number: number
}

/** What an outbox needs of its storage. */
export interface OutboxStorage {
  /** All that is there, of every owner. */
  load(): Promise<readonly StoredMutation[]>
  /** Settles when it will survive a crash, as far as the storage promises that. */
  put(mutation: StoredMutation): Promise<void>
  delete(id: string): Promise<void>
  /**
   * Makes the caller the one who sends an owner's mutations, until it ends or lets go: at most one at a time.
   *
   * @returns lets go; null when somebody else has it.
   */
  claim(owner: string): Promise<(() => void) | null>
}

/** Keeps them for as long as the process lives: for Node, and for pages that need not survive a reload. */
export function memoryOutboxStorage(): OutboxStorage {
  const mutations = new Map<string, StoredMutation>()
  const claimed = new Set<string>()
  return {
    load: async () => [...mutations.values()],
    put: async mutation => void mutations.set(mutation.id, mutation),
    delete: async id => void mutations.delete(id),
    async claim(owner) {
      if (claimed.has(owner)) return null
      claimed.add(owner)
      return () => claimed.delete(owner)
    },
  }
}

/** A storage that knows what is being written: until that is there, nobody else is to look. */
export interface WatchedStorage extends OutboxStorage {
  /** Settles when what is being written now is there, or has failed. */
  written(): Promise<unknown>
}

export function watchStorage(storage: OutboxStorage): WatchedStorage {
  const writes = new Set<Promise<void>>()
  const watch = async (write: () => Promise<void>) => {
    const writing = write()
    writes.add(writing)
    try {
      await writing
    } finally {
      writes.delete(writing)
    }
  }
  return {
    load: () => storage.load(),
    put: mutation => watch(() => storage.put(mutation)),
    delete: id => watch(() => storage.delete(id)),
    claim: owner => storage.claim(owner),
    written: () => Promise.allSettled(writes),
  }
}
