import { expect, test } from 'vitest'
import { listenForHints, type Surroundings } from '../../../client/connection/network.ts'

class Target {
  readonly listeners = new Map<string, (event: { persisted?: boolean }) => void>()
  visibilityState = 'hidden'
  addEventListener(type: string, listener: (event: { persisted?: boolean }) => void): void {
    this.listeners.set(type, listener)
  }
  removeEventListener(type: string): void {
    this.listeners.delete(type)
  }
  fire(type: string, event: { persisted?: boolean } = {}): void {
    this.listeners.get(type)?.(event)
  }
}

test('hears of the network, of a page that came back from the cache, and of one that is looked at again', () => {
  const document = new Target()
  const window = Object.assign(new Target(), { document })
  const hints: string[] = []
  const stop = listenForHints(hint => hints.push(hint), window as Surroundings)

  window.fire('online')
  window.fire('pageshow', { persisted: false })
  window.fire('pageshow', { persisted: true })
  document.fire('visibilitychange')
  document.visibilityState = 'visible'
  document.fire('visibilitychange')
  expect(hints).toEqual(['network', 'network', 'visible'])

  stop()
  expect([window.listeners.size, document.listeners.size]).toEqual([0, 0])
})

test('does without any of it, as in Node and React Native', () => {
  expect(() => listenForHints(() => {}, {})()).not.toThrow()
  expect(() => listenForHints(() => {})()).not.toThrow()
})
