import { createServer } from 'node:http'
import { afterEach, describe, expect, test } from 'vitest'
import { listen } from '../../../apps/showcase/server/listen.ts'
import { readSettings } from '../../../apps/showcase/server/settings.ts'

describe('the port', () => {
  const servers: ReturnType<typeof createServer>[] = []
  const open = () => {
    const server = createServer()
    servers.push(server)
    return server
  }
  afterEach(() => {
    for (const server of servers.splice(0)) server.close()
  })

  test('is the next free one when the default is taken', async () => {
    const taken = await listen(open(), { host: '127.0.0.1', port: 0, anyPort: false })
    const port = await listen(open(), { host: '127.0.0.1', port: taken, anyPort: true })
    expect(port).toBeGreaterThan(taken)
  })

  test('that somebody asked for is not replaced by another, and the message says what to do', async () => {
    const taken = await listen(open(), { host: '127.0.0.1', port: 0, anyPort: false })
    const failing = listen(open(), { host: '127.0.0.1', port: taken, anyPort: false })
    await expect(failing).rejects.toThrow(`Port ${taken} of 127.0.0.1 is taken. Set PORT to another one`)
  })
})

describe('the environment', () => {
  test('that says nothing gives the embedded model, port 3000 of this machine, and a folder in the project', () => {
    expect(readSettings({})).toMatchObject({ host: '127.0.0.1', port: 3000, anyPort: true, endpoint: null })
    expect(readSettings({}).dataDir).toMatch(/[/\\]\.data[/\\]showcase$/)
  })

  test('chooses an endpoint by its address, its key or both', () => {
    const local = readSettings({ OPENAI_BASE_URL: 'http://localhost:11434/v1', OPENAI_MODEL: 'llama3' })
    expect(local.endpoint).toEqual({ baseURL: 'http://localhost:11434/v1', apiKey: 'none', model: 'llama3' })
    const remote = readSettings({ OPENAI_API_KEY: 'key' })
    expect(remote.endpoint).toMatchObject({ baseURL: 'https://api.openai.com/v1', apiKey: 'key' })
  })

  test('that makes no sense is refused with what it may be', () => {
    expect(() => readSettings({ PORT: 'many' })).toThrow(
      'PORT is "many"; set it to a number from 0 to 65535.',
    )
    expect(() => readSettings({ OPENAI_BASE_URL: 'ollama' })).toThrow(
      'OPENAI_BASE_URL is "ollama"; set it to a URL',
    )
  })
})
