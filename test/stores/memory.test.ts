import { createFakeClock } from 'trpc-sluice/testing'
import { memoryStore } from '../../server/stores/memory.ts'
import { storeContract } from '../kit/store-contract.ts'

storeContract({
  name: 'memory',
  open() {
    const clock = createFakeClock({ now: 1_700_000_000_000 })
    const store = memoryStore({ clock })
    return {
      store,
      now: clock.now,
      advance: clock.advance,
      again: () => store,
      close: () => store.close(),
    }
  },
  runs: 300,
})
