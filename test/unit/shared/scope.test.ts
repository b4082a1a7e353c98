import { expect, test } from 'vitest'
import { Scope } from '../../../shared/scope.ts'

test('a scope closes in reverse order and goes on when one closing fails', async () => {
  const order: string[] = []
  const scope = new Scope()
  scope.defer(() => void order.push('first'))
  scope.defer(async () => {
    order.push('second')
    throw new Error('second failed')
  })
  scope.use({ [Symbol.dispose]: () => void order.push('third') })
  await expect(scope.close()).rejects.toThrow('second failed')
  expect(order).toEqual(['third', 'second', 'first'])
})

test('several failures are thrown together', async () => {
  const scope = new Scope()
  for (const name of ['a', 'b']) {
    scope.defer(() => {
      throw new Error(name)
    })
  }
  await expect(scope.close()).rejects.toMatchObject({ errors: [{ message: 'b' }, { message: 'a' }] })
})

test('closing again is the same closing, and what comes late is closed at once', async () => {
  const scope = new Scope()
  let closed = 0
  scope.defer(() => void closed++)
  await Promise.all([scope.close(), scope.close()])
  scope.defer(() => void closed++)
  await scope.close()
  expect(closed).toBe(2)
})
