/** The assistant's embedded default: read the text, learn from it, answer on a port of this machine. */
import { corpusTitle, readCorpus } from './corpus.ts'
import { embeddedModelName, startEndpoint, type Endpoint } from './endpoint.ts'
import { LanguageModel } from './language-model.ts'

export interface EmbeddedModel extends Endpoint {
  readonly name: string
  /** One sentence for the page: what this model is, said plainly. */
  readonly about: string
}

export async function startEmbeddedModel(): Promise<EmbeddedModel> {
  const corpus = await readCorpus()
  const words = corpus.reduce((sum, { text }) => sum + text.split(' ').length, 0)
  const rounded = (Math.round(words / 1000) * 1000).toLocaleString('en')
  const about = `A tiny word-guessing model, trained at start on ${rounded} words of ${corpusTitle}.`
  return { ...(await startEndpoint({ model: new LanguageModel(corpus) })), name: embeddedModelName, about }
}
