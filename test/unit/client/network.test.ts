import { expect, test } from 'vitest'
import { listenForHints, type Surroundings } from '../../../client/connection/network.ts'

class Target extends EventTarget {
  visibilityState = 'hidden'
  fire(type: string, event: { persisted?: boolean } = {}): void {
    this.dispatchEvent(Object.assign(new Event(type), event))
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
  window.fire('online')
  document.fire('visibilitychange')
  expect(hints).toHaveLength(3)
})

test('does without any of it, as in Node and React Native', () => {
  expect(() => listenForHints(() => {}, {})()).not.toThrow()
  expect(() => listenForHints(() => {})()).not.toThrow()
})
