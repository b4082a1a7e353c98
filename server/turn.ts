/**
 * Calls back when the present turn of the event loop has dealt with what had arrived, and before it waits for more:
 * late enough to gather what belongs together, and no delay that a lone event would feel.
 */
export const afterThisTurn: (callback: () => void) => void =
  typeof setImmediate === 'function'
    ? callback => void setImmediate(callback)
    : // Hosts without it (edge runtimes) have nothing that is closer.
      callback => void setTimeout(callback, 0)

/**
 * Calls back, in Node, when all that is ready by now has been dealt with, without anything else of this turn: before
 * what Node itself has put off until the end of the turn.
 */
export const afterWhatIsReady = (callback: () => void): void =>
  queueMicrotask(() => process.nextTick(callback))
