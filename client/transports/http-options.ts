/** What the options say of requests over HTTP. */
import type { HTTPHeaders, Operation } from '@trpc/client'
import type { ResolvedOptions } from '../options.ts'

/** Calls the application's own function, where it has one. */
export async function headersFor(
  { headers = {} }: ResolvedOptions,
  opList: readonly Operation[],
): Promise<HTTPHeaders> {
  return typeof headers === 'function' ? headers({ opList }) : headers
}

export function fetchOf({ fetch }: ResolvedOptions): typeof globalThis.fetch {
  // Called as a free function: some browsers refuse a fetch that has another `this`.
  return fetch ?? ((input, init) => globalThis.fetch(input, init))
}
