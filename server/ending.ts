/** A moment that comes once, with a promise for it only where somebody waits: most connections have nobody. */
export class Ending {
  #reached = false
  #waiting: { readonly moment: Promise<void>; reach(): void } | null = null

  reach(): void {
    this.#reached = true
    this.#waiting?.reach()
  }

  wait(): Promise<void> {
    if (this.#reached) return Promise.resolve()
    if (!this.#waiting) {
      let reach = () => {}
      const moment = new Promise<void>(resolve => (reach = resolve))
      this.#waiting = { moment, reach }
    }
    return this.#waiting.moment
  }
}
