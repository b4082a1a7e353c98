import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Link, LinkedList } from '../../../server/linked-list.ts'

class Numbered extends Link {
  constructor(readonly n: number) {
    super()
  }
}

test('however members come, come again and go, they stand in the order in which they came last', () => {
  const steps = fc.array(fc.tuple(fc.boolean(), fc.nat(9)), { maxLength: 100 })
  fc.assert(
    fc.property(steps, comings => {
      const list = new LinkedList<Numbered>()
      const members = Array.from({ length: 10 }, (_, n) => new Numbered(n))
      const expected = new Set<number>()
      for (const [comes, n] of comings) {
        const member = members[n] as Numbered
        expected.delete(n)
        member.unlink()
        if (comes) {
          expected.add(n)
          list.add(member)
        }
        expect(member.isLinked).toBe(comes)
        expect(Array.from(list, one => one.n)).toEqual([...expected])
        expect(list.first?.n).toBe([...expected][0])
      }
    }),
  )
})

test('a member moves from one list to another, and the one at hand may leave', () => {
  const [here, there] = [new LinkedList<Numbered>(), new LinkedList<Numbered>()]
  for (const n of [1, 2, 3]) here.add(new Numbered(n))
  for (const member of here) {
    if (member.n === 2) there.add(member)
    else member.unlink()
  }
  expect([...here]).toEqual([])
  expect(Array.from(there, ({ n }) => n)).toEqual([2])
})
