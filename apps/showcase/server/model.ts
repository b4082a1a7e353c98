/** Which model answers: the endpoint from the environment, or else the embedded one. */
import OpenAI from 'openai'
import { startEmbeddedModel } from '../model/index.ts'
import type { Model } from './assistant.ts'
import type { Settings } from './settings.ts'

export async function openModel(endpoint: Settings['endpoint']): Promise<Model & AsyncDisposable> {
  if (endpoint) {
    const { baseURL, apiKey, model } = endpoint
    return {
      openai: createClient(baseURL, apiKey),
      name: model,
      about: `${model} at ${new URL(baseURL).host}`,
      embedded: false,
      [Symbol.asyncDispose]: async () => {},
    }
  }
  const embedded = await startEmbeddedModel()
  return {
    openai: createClient(embedded.baseURL, 'none'),
    name: embedded.name,
    about: embedded.about,
    embedded: true,
    [Symbol.asyncDispose]: () => embedded.close(),
  }
}

// One retry of what failed before it began; a minute is long for the first word of an answer.
function createClient(baseURL: string, apiKey: string): OpenAI {
  return new OpenAI({ baseURL, apiKey, maxRetries: 1, timeout: 60_000 })
}
