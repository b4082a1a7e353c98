/**
 * What was thrown → what the outside is told. Two audiences: the application's `onError` learns everything, the
 * client learns the shape that the router's own formatter makes. A `SluiceError` takes the tRPC code of the error
 * table, so that stock clients see what they know, and travels beside it as `data.sluice`.
 *
 * Nothing in this file throws: a formatter or an `onError` that fails must not take the connection with it, and in
 * tRPC's own adapters not the process either.
 */
import { getTRPCErrorFromUnknown, getTRPCErrorShape, TRPCError } from '@trpc/server'
import type { AnyTRPCRouter } from '@trpc/server'
import { getHTTPStatusCodeFromError } from '@trpc/server/http'
import { TRPC_ERROR_CODES_BY_KEY } from '@trpc/server/rpc'
import type { TRPCErrorShape } from '@trpc/server/rpc'
import { errorTable, isSluiceError, type SluiceError, type SluiceErrorCode } from '../../shared/errors.ts'
import type { OperationKind, SluiceErrorData } from '../../shared/protocol/messages.ts'
import { withConfig, withoutSubscriptions } from './router-view.ts'

/** Where something failed: what `onError` and the error formatter are told beside the error. */
export interface Origin {
  readonly req: unknown
  readonly type: OperationKind | 'unknown'
  readonly path: string | undefined
  readonly input: unknown
  readonly ctx: unknown
}

/** The application's `onError`, as seen from inside. */
export type ErrorListener = (failure: Origin & { readonly error: TRPCError }) => unknown

type Formatter = AnyTRPCRouter['_def']['_config']['errorFormatter']

/** Whatever was thrown as a `TRPCError`; a `SluiceError` takes its code from the error table. */
export function toTRPCError(thrown: unknown): TRPCError {
  const error = getTRPCErrorFromUnknown(thrown)
  const cause = error.cause
  // A code that the application chose itself, when it wrapped the error, stands.
  if (!isSluiceError(cause) || error.code !== 'INTERNAL_SERVER_ERROR') return error
  const code = entryOf(cause)?.trpc ?? error.code
  if (code === error.code) return error
  const translated = new TRPCError({ code, message: error.message, cause })
  translated.stack = error.stack
  return translated
}

/** True for the error by which an aborted operation ends, however tRPC has wrapped it. */
export function isAbortError(thrown: unknown): boolean {
  if (typeof thrown !== 'object' || thrown === null) return false
  const { name, cause } = thrown as { name?: unknown; cause?: unknown }
  if (name === 'AbortError') return true
  return name === 'TRPCError' && typeof cause === 'object' && isAbortError(cause)
}

/** What the client is told when its error cannot be presented. It says nothing of the error, on purpose. */
export const unpresentable: TRPCErrorShape = {
  code: TRPC_ERROR_CODES_BY_KEY.INTERNAL_SERVER_ERROR,
  message: 'Internal server error',
  data: { code: 'INTERNAL_SERVER_ERROR', httpStatus: 500 },
}

/** Takes every error of one server: to `onError`, and into its shape for the wire. */
export class ErrorDesk {
  /** The application's router, with a formatter that knows our errors. */
  readonly router: AnyTRPCRouter
  /**
   * The same for tRPC's own adapters, where a shape that JSON cannot carry would end the process, and without what is
   * not theirs to run.
   */
  readonly routerForAdapters: AnyTRPCRouter
  readonly #listener: ErrorListener | undefined

  constructor(router: AnyTRPCRouter, listener: ErrorListener | undefined) {
    this.#listener = listener
    const format = this.#guard(router._def._config.errorFormatter)
    this.router = withFormatter(router, format)
    this.routerForAdapters = withoutSubscriptions(withFormatter(router, this.#jsonOnly(format, router)))
  }

  /** Hands an error to the application's `onError`. */
  report(thrown: unknown, origin: Origin): TRPCError {
    const error = toTRPCError(thrown)
    try {
      const answer = this.#listener?.({ ...origin, error })
      // An async onError is allowed; nobody awaits it.
      if (answer instanceof Promise) answer.catch(failure => this.#lastResort(failure, error))
    } catch (failure) {
      this.#lastResort(failure, error)
    }
    return error
  }

  /** The shape of an error for the client, through the router's formatter. */
  present(error: TRPCError, origin: Origin): TRPCErrorShape {
    const { type, path, input, ctx } = origin
    return getTRPCErrorShape({ config: this.router._def._config, error, type, path, input, ctx })
  }

  /** Both at once, which is what most failures want. */
  handle(thrown: unknown, origin: Origin): TRPCErrorShape {
    return this.present(this.report(thrown, origin), origin)
  }

  #guard(format: Formatter): Formatter {
    return opts => {
      try {
        const error = toTRPCError(opts.error)
        const shape = error === opts.error ? opts.shape : withCode(opts.shape, error)
        return withSluice(format({ ...opts, error, shape }), error.cause)
      } catch (failure) {
        const { type, path, input, ctx } = opts
        this.report(failure, { req: undefined, type, path, input, ctx })
        return unpresentable
      }
    }
  }

  #jsonOnly(format: Formatter, router: AnyTRPCRouter): Formatter {
    const { output } = router._def._config.transformer
    return opts => {
      const shape: unknown = format(opts)
      try {
        JSON.stringify(output.serialize(shape))
        return shape
      } catch (failure) {
        const { type, path, input, ctx } = opts
        this.report(failure, { req: undefined, type, path, input, ctx })
        return unpresentable
      }
    }
  }

  #lastResort(failure: unknown, error: TRPCError): void {
    // onError was the place to tell, and it is what failed.
    console.error('[trpc-sluice] onError failed', failure, 'while it was told of', error)
  }
}

/** A view of the router with another formatter, and whose transformer lets the last word pass. */
function withFormatter(router: AnyTRPCRouter, errorFormatter: Formatter): AnyTRPCRouter {
  const { input, output } = router._def._config.transformer
  const serialize = (value: unknown): unknown => {
    if (value !== unpresentable) return output.serialize(value)
    try {
      return output.serialize(value)
    } catch {
      return value // the transformer itself is what fails; it was reported when this shape took the error's place
    }
  }
  const transformer = {
    input,
    output: { serialize, deserialize: (value: unknown): unknown => output.deserialize(value) },
  }
  return withConfig(router, { errorFormatter, transformer })
}

/** An error of another copy of this package may have a code that this table does not know. */
function entryOf({ code }: SluiceError): (typeof errorTable)[SluiceErrorCode] | undefined {
  return errorTable[code]
}

function withCode<S extends TRPCErrorShape>(shape: S, error: TRPCError): S {
  return {
    ...shape,
    code: TRPC_ERROR_CODES_BY_KEY[error.code],
    data: { ...shape.data, code: error.code, httpStatus: getHTTPStatusCodeFromError(error) },
  }
}

function withSluice(shape: unknown, cause: unknown): unknown {
  if (!isSluiceError(cause) || typeof shape !== 'object' || shape === null) return shape
  const { code, data } = cause
  const retry = entryOf(cause)?.retry ?? 'never'
  const sluice: SluiceErrorData = { code, ...(retry !== 'never' && { retry }), data }
  return { ...shape, data: { ...(shape as Partial<TRPCErrorShape>).data, sluice } }
}
