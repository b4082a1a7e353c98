import { createFakeClock } from 'trpc-sluice/testing'
import { lmdbStore } from 'trpc-sluice/stores/lmdb'
import { storeContract } from '../kit/store-contract.ts'
import { createFolder } from './support/folder.ts'

storeContract({
  name: 'LMDB',
  async open() {
    const clock = createFakeClock({ now: 1_700_000_000_000 })
    const folder = await createFolder()
    const stores = [lmdbStore({ path: folder.path, clock })]
    const [store] = stores
    if (!store) throw new Error('unreachable')
    return {
      store,
      now: clock.now,
      advance: clock.advance,
      again() {
        const another = lmdbStore({ path: folder.path, clock })
        stores.push(another)
        return another
      },
      async close() {
        await Promise.all(stores.map(opened => opened.close()))
        await folder.remove()
      },
    }
  },
})
