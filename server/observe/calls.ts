/**
 * Who wants to know of each call of a procedure (a tracer, say) is told here when it begins, may run it in a context
 * of its own, and is told how it ended. Nothing is told per event, and where nobody listens nothing is made.
 */
import type { AnyTRPCProcedure, AnyTRPCRouter } from '@trpc/server'
import type { OperationKind } from '../../shared/protocol/messages.ts'
import { withProcedures } from '../procedures/router-view.ts'

/** A query, a mutation or a subscription, as it begins. */
export interface ObservedCall {
  /** As the client has it: not all of them exist. */
  readonly path: string | undefined
  readonly type: OperationKind | 'unknown'
  /** Node's request or a WHATWG `Request`; over a WebSocket that of its upgrade. */
  readonly req: unknown
}

export interface Observation {
  /** Runs what the call does, and again what ends a subscription; the result is to be returned as it is. */
  run<T>(work: () => T): T
  /** The call is over, a subscription's clean-up included: with an error, or with null, also when its client has left. */
  end(error: unknown): void
}

/** Called as a call begins. It must not throw, and neither may its observation. */
export type CallObserver = (call: ObservedCall) => Observation

const unobserved: Observation = { run: work => work(), end() {} }

export class CallObservers {
  readonly #observers = new Set<CallObserver>()

  /** Returns its removal; calls that have begun are told to their ends. */
  add(observer: CallObserver): () => void {
    this.#observers.add(observer)
    return () => void this.#observers.delete(observer)
  }

  begin({ path, type, req }: ObservedCall): Observation {
    if (this.#observers.size === 0) return unobserved
    const observations = Array.from(this.#observers, observer => observer({ path, type, req }))
    return {
      run: work => observations.reduce((inner, outer) => () => outer.run(inner), work)(),
      end: error => observations.forEach(observation => observation.end(error)),
    }
  }

  /** A view of the router for tRPC's own adapters, which call its procedures by themselves. */
  over(router: AnyTRPCRouter, req: unknown): AnyTRPCRouter {
    return this.#observers.size === 0 ? router : withProcedures(router, each => this.#watch(each, req))
  }

  #watch(procedure: AnyTRPCProcedure, req: unknown): AnyTRPCProcedure {
    const call = async (options: Parameters<AnyTRPCProcedure>[0]): Promise<unknown> => {
      const observation = this.begin({ path: options.path, type: options.type, req })
      try {
        const result: unknown = await observation.run(() => procedure(options))
        observation.end(null)
        return result
      } catch (thrown) {
        observation.end(thrown)
        throw thrown
      }
    }
    return Object.assign(call, procedure)
  }
}
