/** Generators that an application would write itself, the same for every peer that can take one. */
import { setMaxListeners } from 'node:events'
import { createEvent, type Event } from './event.ts'

export interface FloodOptions {
  readonly events: number
  /** Of an event's text; default: that of a small one. */
  readonly bytes?: number | undefined
}

/** How many events have been asked of the floods of this process. */
export let offered = 0

/** Never waits for anything but its reader: a file, a fast model. After the last event it stays open. */
export async function* flood({ events, bytes }: FloodOptions, signal?: AbortSignal): AsyncGenerator<Event> {
  for (let n = 1; n <= events; n++) {
    offered++
    yield createEvent(n, bytes)
  }
  await aborted(signal)
}

function aborted(signal: AbortSignal | undefined): Promise<void> {
  return new Promise(resolve => {
    if (!signal) return // ends with the process
    if (signal.aborted) return resolve()
    setMaxListeners(0, signal)
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

let turns = 0
let wake = () => {}
let nextTurn = new Promise<void>(resolve => (wake = resolve))

/** Gives each model one more token. */
export function turn(): void {
  turns++
  wake()
  nextTurn = new Promise(resolve => (wake = resolve))
}

/** A language model: one token of its own each turn, none left out. */
export async function* tokens(): AsyncGenerator<Event> {
  for (let seen = turns; ;) {
    while (seen < turns) yield createEvent(++seen)
    await nextTurn
  }
}
