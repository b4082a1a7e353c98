import { describe, expect, test } from 'vitest'
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

describe('what comes late to a scope that has failed to close', () => {
  const failing = (name: string) => () => Promise.reject(new Error(name))

  async function closed(): Promise<Scope> {
    const scope = new Scope()
    scope.defer(failing('early'))
    await expect(scope.close()).rejects.toThrow('early')
    return scope
  }

  /** What nobody has heard of when all that can has happened. */
  async function unheardOf(act: () => Promise<void>): Promise<unknown[]> {
    const unheard: unknown[] = []
    const listener = (reason: unknown) => void unheard.push(reason)
    const others = process.listeners('unhandledRejection') // vitest fails the file for each
    process.removeAllListeners('unhandledRejection').on('unhandledRejection', listener)
    await act()
    await new Promise(resolve => setImmediate(resolve))
    process.off('unhandledRejection', listener)
    for (const other of others) process.on('unhandledRejection', other)
    return unheard
  }

  test('is closed at once all the same, and nobody is told twice of what has failed', async () => {
    const scope = await closed()
    let late = 0
    const unheard = await unheardOf(async () => {
      scope.defer(() => void late++)
      scope.defer(() => void late++)
    })
    expect(late).toBe(2)
    expect(unheard).toEqual([])
    await expect(scope.close()).rejects.toThrow('early')
  })

  test('is told of with the rest to whoever closes again, if it fails too', async () => {
    const scope = await closed()
    scope.defer(failing('late'))
    await expect(scope.close()).rejects.toMatchObject({ errors: [{ message: 'early' }, { message: 'late' }] })
  })

  test('is not lost where nobody closes again', async () => {
    const scope = await closed()
    const unheard = await unheardOf(async () => scope.defer(failing('late')))
    expect(unheard).toMatchObject([{ message: 'late' }])
  })
})
