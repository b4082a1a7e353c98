/** How well each passage of the corpus fits a question: rare words that both have in common count most. */
import type { Passage } from './corpus.ts'
import { toKeywords } from './tokens.ts'

export class Relevance {
  /** Keyword → the passages in which it occurs, with how often. */
  readonly #index = new Map<string, Map<number, number>>()
  readonly #lengths: number[]

  constructor(passages: readonly Passage[]) {
    this.#lengths = passages.map(({ about, text }, passage) => {
      const words = toKeywords(`${about} ${text}`)
      for (const word of words) {
        const occurrences = this.#index.get(word) ?? new Map<number, number>()
        occurrences.set(passage, (occurrences.get(passage) ?? 0) + 1)
        this.#index.set(word, occurrences)
      }
      return words.length
    })
  }

  /** One score a passage, between 0 (nothing in common) and 1 (the best match there is). */
  scores(question: string): Float64Array {
    const scores = new Float64Array(this.#lengths.length)
    for (const word of new Set(toKeywords(question))) {
      const occurrences = this.#index.get(word)
      // A word that is in every tenth passage says nothing about the subject.
      if (!occurrences || occurrences.size > scores.length / 10) continue
      const rarity = Math.log(scores.length / occurrences.size)
      for (const [passage, count] of occurrences) {
        const length = this.#lengths[passage] ?? 1
        scores[passage] = (scores[passage] ?? 0) + (rarity * count) / (count + 0.5 + length / 60)
      }
    }
    const best = scores.reduce((a, b) => Math.max(a, b), 0)
    return best === 0 ? scores : scores.map(score => score / best)
  }
}
