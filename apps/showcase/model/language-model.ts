/**
 * A language model in the oldest sense: it guesses the next word from the few words before it.
 *
 * The corpus is one long row of tokens, and a suffix array of it: all positions, sorted by what follows them. So all
 * places where some words occur are one range of that array, found by binary search, and what stands next at those
 * places is what the model may say next. It looks at the last four tokens first; with some probability it forgets
 * the oldest one and looks again, which finds more places (absolute discounting with back-off). This is how it comes
 * to say what stands nowhere in its text.
 *
 * To have something to do with the question, each place counts by how well its passage fits the question.
 */
import type { Passage } from './corpus.ts'
import { createRandom, hashOf } from './random.ts'
import { Relevance } from './relevance.ts'
import { toTokens } from './tokens.ts'

/** How many tokens the model looks back. */
const order = 4
/** What each distinct next word gives up in favour of a shorter memory; more makes the text more inventive. */
const discount = 0.3
/** Two words are the least to go on from: with fewer, the text falls apart. */
const leastMemory = 2
/** What remains of a passage's weight each time that it was followed: so that the text wanders on, and ends. */
const fatigue = 0.9
/** What a place counts whose passage has nothing to do with the question, where the best counts 1. */
const strayWeight = 0.002
/** Between passages: both the end of the one and the start of the next. */
const boundary = 0

export interface GenerateOptions {
  /** What the answer should be about. */
  readonly prompt: string
  readonly maxTokens: number
  /** 0 always takes the likeliest word; 1 follows the text; more is wilder. */
  readonly temperature?: number
  /** The same seed and prompt give the same answer. Without it, the prompt is the seed. */
  readonly seed?: number
}

export class LanguageModel {
  readonly #vocabulary: string[] = ['\n\n']
  readonly #tokens: Int32Array
  readonly #passageAt: Int32Array
  readonly #suffixes: Int32Array
  readonly #relevance: Relevance

  constructor(passages: readonly Passage[]) {
    const ids = new Map<string, number>()
    const tokens: number[] = [boundary]
    const passageAt: number[] = [0]
    passages.forEach(({ text }, passage) => {
      for (const token of toTokens(text)) {
        let id = ids.get(token)
        if (id === undefined) {
          id = this.#vocabulary.push(token) - 1
          ids.set(token, id)
        }
        tokens.push(id)
        passageAt.push(passage)
      }
      tokens.push(boundary)
      // The boundary belongs to the passage that it opens: what may follow it is the start of that one.
      passageAt.push(Math.min(passage + 1, passages.length - 1))
    })
    this.#tokens = Int32Array.from(tokens)
    this.#passageAt = Int32Array.from(passageAt)
    this.#suffixes = sortSuffixes(this.#tokens)
    this.#relevance = new Relevance(passages)
  }

  /** An answer, token by token. It ends by itself at the end of a passage, at the latest after `maxTokens`. */
  *generate({ prompt, maxTokens, temperature = 0.8, seed }: GenerateOptions): Generator<string, void, void> {
    const random = createRandom(hashOf(prompt) ^ (seed ?? 0))
    const weights = this.#relevance.scores(prompt).map(score => Math.max(strayWeight, score ** 3))
    const said: number[] = [boundary]
    // Long enough to be worth watching, and not the same for every question.
    const enough = 130 + Math.floor(random() * 80)
    while (said.length <= maxTokens) {
      const next = this.#guess(said, weights, temperature, random)
      if (next === boundary && said.length > enough) return
      said.push(next)
      yield this.#vocabulary[next] ?? ''
    }
  }

  #guess(said: readonly number[], weights: Float64Array, temperature: number, random: () => number): number {
    // What was said before a boundary has no say in what comes after it.
    const longest = Math.min(order, said.length - said.lastIndexOf(boundary))
    const shortest = Math.min(leastMemory, longest)
    for (let memory = longest; memory >= shortest; memory--) {
      const places = this.#placesAfter(said.slice(-memory))
      const candidates = this.#weigh(places, weights)
      const forget = memory > shortest && random() < (discount * candidates.size) / (candidates.size + 1)
      if (forget || candidates.size === 0) continue
      const next = draw(candidates, temperature, random())
      for (const place of places) {
        if (this.#tokens[place] !== next) continue
        const passage = this.#passageBefore(place)
        weights[passage] = (weights[passage] ?? strayWeight) * fatigue
      }
      return next
    }
    return boundary
  }

  /** Where in the corpus one stands after having read these tokens. */
  #placesAfter(context: readonly number[]): Int32Array {
    const from = this.#firstNotBelow(context, 0)
    const to = this.#firstNotBelow(context, 1)
    return this.#suffixes.subarray(from, to).map(start => start + context.length)
  }

  /** What stands at these places, and how much that counts. */
  #weigh(places: Int32Array, weights: Float64Array): Map<number, number> {
    const candidates = new Map<number, number>()
    for (const place of places) {
      const token = this.#tokens[place]
      if (token === undefined) continue // behind the last boundary
      const weight = weights[this.#passageBefore(place)] ?? strayWeight
      candidates.set(token, (candidates.get(token) ?? 0) + weight)
    }
    return candidates
  }

  #passageBefore(place: number): number {
    return this.#passageAt[place - 1] ?? 0
  }

  /** The first suffix that does not sort below the context; with `past` 1, the first that sorts above all its matches. */
  #firstNotBelow(context: readonly number[], past: 0 | 1): number {
    let low = 0
    let high = this.#suffixes.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#compare(this.#suffixes[middle] ?? 0, context) < past) low = middle + 1
      else high = middle
    }
    return low
  }

  #compare(start: number, context: readonly number[]): number {
    for (const [i, wanted] of context.entries()) {
      const difference = (this.#tokens[start + i] ?? -1) - wanted
      if (difference !== 0) return difference
    }
    return 0
  }
}

function sortSuffixes(tokens: Int32Array): Int32Array {
  return Int32Array.from(tokens.keys()).sort((a, b) => {
    for (let i = 0; i < order; i++) {
      const difference = (tokens[a + i] ?? -1) - (tokens[b + i] ?? -1)
      if (difference !== 0) return difference
    }
    return a - b
  })
}

/** Draws one candidate by weight; a low temperature favours the heavy ones. */
function draw(candidates: ReadonlyMap<number, number>, temperature: number, chance: number): number {
  const heaviest = Math.max(...candidates.values())
  const sharpness = 1 / Math.max(temperature, 0.01)
  const weighted = Array.from(
    candidates,
    ([token, weight]) => [token, (weight / heaviest) ** sharpness] as const,
  )
  let left = chance * weighted.reduce((sum, [, weight]) => sum + weight, 0)
  for (const [token, weight] of weighted) {
    left -= weight
    if (left < 0) return token
  }
  return weighted[0]?.[0] ?? boundary
}
