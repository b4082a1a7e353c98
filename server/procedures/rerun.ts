/**
 * The retry contract: what happens when a client that has lost its connection asks for the same subscription again.
 * One that is `once()` is refused; one that says nothing runs again, as in tRPC, which a developer should know.
 */
import type { AnyTRPCRouter } from '@trpc/server'
import { SluiceError } from '../../shared/errors.ts'
import { contractOf } from '../../shared/schema.ts'
import { findProcedure } from './call.ts'

export interface Rerun {
  /** Whether the client says that it has asked before. Stock clients never say so. */
  readonly again: boolean
  readonly lastEventId: string | null | undefined
}

export class RetryContracts {
  readonly #router: AnyTRPCRouter
  /** Each is warned of once. */
  readonly #warned = new Set<string>()

  constructor(router: AnyTRPCRouter) {
    this.#router = router
  }

  /** Null for one that comes for the first time. Rejects with SluiceError `LOST` when it must not run twice. */
  check(path: string, { again, lastEventId }: Rerun): Promise<void> | null {
    return again || lastEventId ? this.#check(path, lastEventId) : null
  }

  async #check(path: string, lastEventId: Rerun['lastEventId']): Promise<void> {
    const procedure = await findProcedure(this.#router, path)
    if (!procedure) return // tRPC says so in its own words
    const { inputs } = procedure._def as { readonly inputs?: readonly unknown[] } // not in tRPC's public type
    const contract = contractOf(inputs ?? [])
    if (contract === 'once') {
      throw new SluiceError('LOST', `The connection was lost under "${path}", which must not run twice.`, {
        data: { path },
      })
    }
    if (contract === null && !lastEventId) this.#warn(path)
  }

  #warn(path: string): void {
    if (!this.#router._def._config.isDev || this.#warned.has(path)) return
    this.#warned.add(path)
    console.warn(
      `[trpc-sluice] "${path}" runs again for a client that came back without a cursor. ` +
        'Give it resumable() as input and yield tracked events (or return a topic), or once() if it must not run twice.',
    )
  }
}
