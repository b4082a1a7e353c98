/**
 * How deep an input may be nested. Looked at between decoding and the transformer, where every carrier and codec
 * passes: decoders loop, but transformers and schemas call themselves for each level, and a stranger who sends
 * 100,000 of them would have the stack.
 */
import { TRPCError } from '@trpc/server'
import type { AnyTRPCRouter } from '@trpc/server'
import { SluiceError } from '../../shared/errors.ts'
import { withConfig } from './router-view.ts'

/** A view of the router whose transformer refuses deeper inputs: `BAD_REQUEST`, by `INPUT_TOO_DEEP`. */
export function withInputDepth(router: AnyTRPCRouter, max: number, onRefused: () => void): AnyTRPCRouter {
  if (max === Number.MAX_SAFE_INTEGER) return router // no limit
  const { input, output } = router._def._config.transformer
  const deserialize = (value: unknown): unknown => {
    if (!isDeeperThan(value, max)) return input.deserialize(value)
    onRefused()
    const message = `The input is nested more than ${max} deep.`
    const cause = new SluiceError('INPUT_TOO_DEEP', message, { data: { limit: max } })
    throw new TRPCError({ code: 'BAD_REQUEST', message, cause })
  }
  const transformer = {
    input: { serialize: (value: unknown): unknown => input.serialize(value), deserialize },
    output,
  }
  return withConfig(router, { transformer })
}

/** Most inputs are seen to be shallow at a glance; the others are looked at level by level. */
export function isDeeperThan(value: unknown, max: number): boolean {
  return !isSmall(value, Math.min(max, 4), { left: 32 }) && isDeeperByLevels(value, max)
}

/** Whether it ends within so many levels and branches: few, for it calls itself, and may meet one object often. */
function isSmall(value: unknown, levels: number, branches: { left: number }): boolean {
  if (!isBranch(value)) return true
  if (levels === 0 || --branches.left < 0) return false
  for (const child of Object.values(value)) if (!isSmall(child, levels - 1, branches)) return false
  return true
}

/** Level by level, so that neither depth nor width costs stack, and what is too deep is not looked at to its end. */
function isDeeperByLevels(value: unknown, max: number): boolean {
  let level = new Set(isBranch(value) ? [value] : [])
  for (let depth = 1; level.size > 0; depth++) {
    if (depth > max) return true
    // A set, because a codec that knows references may hand out one object many times, or a circle.
    const below = new Set<object>()
    for (const parent of level) {
      for (const child of Object.values(parent)) if (isBranch(child)) below.add(child)
    }
    level = below
  }
  return false
}

/** Bytes are one value, however many there are. */
function isBranch(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !ArrayBuffer.isView(value)
}
