import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ById } from '../../../server/session/by-id.ts'

test('whatever comes and goes, in whatever number, it holds what a map would', () => {
  const steps = fc.array(fc.tuple(fc.boolean(), fc.nat(60)), { maxLength: 400 })
  fc.assert(
    fc.property(steps, comings => {
      const byId = new ById<{ readonly id: number }>()
      const expected = new Map<number, { readonly id: number }>()
      for (const [comes, id] of comings) {
        const thing = expected.get(id) ?? { id }
        if (!comes) {
          byId.delete(thing)
          expected.delete(id)
        } else if (!expected.has(id)) {
          byId.add(thing)
          expected.set(id, thing)
        }
        expect(byId.get(id)).toBe(expected.get(id))
        expect(byId.size).toBe(expected.size)
      }
      expect(new Set(byId.values())).toEqual(new Set(expected.values()))
    }),
  )
})
