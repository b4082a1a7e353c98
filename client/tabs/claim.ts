/** What the other tabs need of this one's connection: it is wanted while they are there, and nothing travels in person. */
import type { Passenger } from '../connection/connection.ts'

export class Claim implements Passenger {
  readonly movable = true
  readonly #stands: () => boolean

  constructor(stands: () => boolean) {
    this.#stands = stands
  }

  get wanted(): boolean {
    return this.#stands()
  }

  board(): void {}
  opened(): void {}
  received(): void {}
  interrupted(): void {}
  left(): void {}
  lost(): void {}
  dismissed(): void {}

  awaitsAnswerOn(): boolean {
    return false
  }
}
