import { EventEmitter, once } from 'node:events'
import OpenAI, { BadRequestError, NotFoundError } from 'openai'
import { beforeAll, describe, expect, test } from 'vitest'
import { readCorpus, toPassages, type Passage } from '../../../apps/showcase/model/corpus.ts'
import { embeddedModelName, startEndpoint } from '../../../apps/showcase/model/endpoint.ts'
import { LanguageModel } from '../../../apps/showcase/model/language-model.ts'
import { toTokens } from '../../../apps/showcase/model/tokens.ts'

let corpus: Passage[]
let model: LanguageModel
beforeAll(async () => {
  corpus = await readCorpus()
  model = new LanguageModel(corpus)
})

async function open(tokensPerSecond = Infinity, speaker: Pick<LanguageModel, 'generate'> = model) {
  const endpoint = await startEndpoint({ model: speaker, tokensPerSecond })
  const openai = new OpenAI({ baseURL: endpoint.baseURL, apiKey: 'none needed', maxRetries: 0 })
  return { openai, endpoint, [Symbol.asyncDispose]: () => endpoint.close() }
}

const question = { role: 'user', content: 'What is a worker thread?' } as const
const request = { model: embeddedModelName, messages: [question] }

describe('the corpus', () => {
  test('is some ten thousand words of prose, without code or tags', () => {
    const words = corpus.reduce((sum, { text }) => sum + text.split(' ').length, 0)
    expect(words).toBeGreaterThan(50_000)
    for (const { text } of corpus) expect(text).not.toMatch(/```|\{@link|^@|\n/)
  })

  test('takes the paragraphs of a comment and leaves its examples and parameters', () => {
    const source = `
      /**
       * Reads the \`file\` and gives back all of {@link Buffer the bytes} in it.
       *
       * \`\`\`js
       * read('x')
       * \`\`\`
       *
       * See [the manual](https://example.org) for what happens when it is not there.
       * @param file The file.
       */`
    expect(toPassages(source)).toEqual([
      'Reads the `file` and gives back all of the bytes in it.',
      'See the manual for what happens when it is not there.',
    ])
  })
})

describe('the language model', () => {
  const ask = (options: Partial<Parameters<LanguageModel['generate']>[0]>) =>
    Array.from(model.generate({ prompt: question.content, maxTokens: 200, ...options }))

  test('loses nothing of a text when it takes it apart', () => {
    for (const { text } of corpus.slice(0, 500)) expect(toTokens(text).join('')).toBe(text)
  })

  test('gives the same answer for the same seed, and another for another', () => {
    expect(ask({ seed: 1 })).toEqual(ask({ seed: 1 }))
    expect(ask({ seed: 1 })).not.toEqual(ask({ seed: 2 }))
  })

  test('speaks about what was asked', () => {
    for (let seed = 0; seed < 10; seed++) expect(ask({ seed }).join('')).toMatch(/worker|thread/i)
  })

  test('says things that stand nowhere in its text', () => {
    const known = corpus.map(({ text }) => text).join('\n\n')
    const sentences = ask({ maxTokens: 400 })
      .join('')
      .split(/(?<=\.)\s+/)
    expect(sentences.some(sentence => !known.includes(sentence))).toBe(true)
  })

  test('has something to say to anything', () => {
    for (const prompt of ['', 'ξ', 'hello', '\u0000', 'a'.repeat(10_000)]) {
      expect(ask({ prompt }).length).toBeGreaterThan(20)
    }
  })
})

describe('the endpoint, through the openai SDK', () => {
  test('streams an answer token by token, and says how it ended and what it used', async () => {
    await using app = await open()
    const stream = await app.openai.chat.completions.create({
      ...request,
      stream: true,
      stream_options: { include_usage: true },
    })
    const pieces: string[] = []
    const endings: string[] = []
    let usage: OpenAI.CompletionUsage | null | undefined
    for await (const chunk of stream) {
      const choice = chunk.choices[0]
      if (choice?.delta.content) pieces.push(choice.delta.content)
      if (choice?.finish_reason) endings.push(choice.finish_reason)
      usage = chunk.usage ?? usage
    }
    expect(pieces).toEqual(Array.from(model.generate({ prompt: question.content, maxTokens: 400 })))
    expect(endings).toEqual(['stop'])
    expect(usage).toMatchObject({ completion_tokens: pieces.length })
  })

  test('gives the same answer in one piece', async () => {
    await using app = await open()
    const { choices } = await app.openai.chat.completions.create(request)
    const expected = Array.from(model.generate({ prompt: question.content, maxTokens: 400 })).join('')
    expect(choices[0]).toMatchObject({ message: { content: expected }, finish_reason: 'stop' })
  })

  test('stops at max_tokens and says so', async () => {
    await using app = await open()
    const { choices, usage } = await app.openai.chat.completions.create({ ...request, max_tokens: 7 })
    expect(choices[0]?.finish_reason).toBe('length')
    expect(usage?.completion_tokens).toBe(7)
  })

  test('speaks at the pace it was told', async () => {
    await using app = await open(200)
    const started = performance.now()
    await drain(await app.openai.chat.completions.create({ ...request, stream: true, max_tokens: 40 }))
    expect(performance.now() - started).toBeGreaterThan(150)
  })

  test('stops talking when the listener hangs up', async () => {
    const ended = new EventEmitter()
    const endless = {
      *generate() {
        try {
          for (;;) yield ' on'
        } finally {
          ended.emit('end')
        }
      },
    }
    await using app = await open(1000, endless)
    const hungUp = once(ended, 'end')
    const stream = await app.openai.chat.completions.create({ ...request, stream: true })
    for await (const { choices } of stream) if (choices[0]?.delta.content) break
    await hungUp
  })

  test('lists its model', async () => {
    await using app = await open()
    const { data } = await app.openai.models.list()
    expect(data.map(({ id }) => id)).toEqual([embeddedModelName])
  })

  test('refuses what it does not understand with a 400 in the shape of OpenAI', async () => {
    await using app = await open()
    const wrong = [
      { ...request, messages: [] },
      { ...request, n: 2 },
      { ...request, temperature: 9 },
      { ...request, max_tokens: 0 },
      { ...request, messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: '' } }] }] },
    ]
    for (const body of wrong) {
      const failure = await app.openai.chat.completions.create(body as never).catch((error: unknown) => error)
      expect(failure).toBeInstanceOf(BadRequestError)
      expect(failure).toMatchObject({ type: 'invalid_request_error', param: expect.any(String) })
    }
  })

  test('answers with 404 for another model, 400 for what is not JSON, 404 elsewhere', async () => {
    await using app = await open()
    const failure = await app.openai.chat.completions
      .create({ ...request, model: 'gpt-9' })
      .catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(NotFoundError)
    expect(failure).toMatchObject({ code: 'model_not_found' })
    const { baseURL } = app.endpoint
    expect((await fetch(`${baseURL}/chat/completions`, { method: 'POST', body: '{' })).status).toBe(400)
    expect((await fetch(`${baseURL}/embeddings`, { method: 'POST', body: '{}' })).status).toBe(404)
  })
})

async function drain(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of stream);
}
