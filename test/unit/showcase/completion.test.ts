import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import OpenAI from 'openai'
import { describe, expect, test } from 'vitest'
import { complete } from '../../../apps/showcase/server/completion.ts'

/** An endpoint that answers as the test says, and the completion asked of it. */
async function askOf(
  handler: RequestListener,
  { timeout = 5000, signal = new AbortController().signal } = {},
) {
  const server = createServer(handler)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const pieces: string[] = []
  const outcome = await collect(port, pieces, timeout, signal)
  server.close()
  server.closeAllConnections()
  return { pieces, outcome, host: `127.0.0.1:${port}` }
}

async function collect(
  port: number,
  pieces: string[],
  timeout: number,
  signal: AbortSignal,
): Promise<unknown> {
  const openai = new OpenAI({
    baseURL: `http://127.0.0.1:${port}/v1`,
    apiKey: 'secret',
    maxRetries: 0,
    timeout,
    logLevel: 'off',
  })
  const messages = [{ role: 'user' as const, content: 'hello' }]
  try {
    const answer = complete({ openai, model: 'any', messages, signal })
    for (;;) {
      const { done, value } = await answer.next()
      if (done) return value
      pieces.push(value)
    }
  } catch (thrown) {
    return thrown
  }
}

const chunk = (content: string, finish: string | null = null) =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content }, finish_reason: finish }] })}\n\n`

const stream: RequestListener = (_, response) => {
  response.writeHead(200, { 'Content-Type': 'text/event-stream' })
  response.write(chunk('one') + chunk(' two'))
}

describe('an answer', () => {
  test('is passed on piece by piece, with why it ended', async () => {
    const { pieces, outcome } = await askOf((request, response) => {
      stream(request, response)
      response.end(`${chunk('', 'stop')}data: [DONE]\n\n`)
    })
    expect(pieces).toEqual(['one', ' two'])
    expect(outcome).toBe('stop')
  })

  test('that reached its limit says so', async () => {
    const { outcome } = await askOf((request, response) => {
      stream(request, response)
      response.end(chunk('', 'length'))
    })
    expect(outcome).toBe('length')
  })

  test('that is stopped ends in the abort, not in a failure of the endpoint', async () => {
    const controller = new AbortController()
    const { outcome } = await askOf(
      (request, response) => {
        stream(request, response)
        setImmediate(() => controller.abort())
      },
      { signal: controller.signal },
    )
    expect(outcome).not.toMatchObject({ name: 'TRPCError' })
  })
})

describe('an endpoint that fails is told as what it is', () => {
  test.each([
    [400, 'BAD_REQUEST'],
    [401, 'UNAUTHORIZED'],
    [403, 'FORBIDDEN'],
    [404, 'NOT_FOUND'],
    [429, 'TOO_MANY_REQUESTS'],
    [500, 'BAD_GATEWAY'],
    [503, 'BAD_GATEWAY'],
  ])('when it answers with %d: %s', async (status, code) => {
    const { outcome, host } = await askOf((_, response) => {
      response.writeHead(status, { 'Content-Type': 'application/json' })
      response.end(
        JSON.stringify({ error: { message: 'inner details', type: 'x', code: null, param: null } }),
      )
    })
    expect(outcome).toMatchObject({ name: 'TRPCError', code })
    expect(String(outcome)).toContain(`${host} answered with ${status}`)
    expect(String(outcome)).not.toMatch(/inner details|secret/)
  })

  test('when it is down', async () => {
    const outcome = await collect(1, [], 5000, new AbortController().signal)
    expect(outcome).toMatchObject({
      code: 'SERVICE_UNAVAILABLE',
      message: expect.stringContaining('127.0.0.1:1'),
    })
  })

  test('when it says nothing', async () => {
    const { outcome } = await askOf(() => {}, { timeout: 50 })
    expect(outcome).toMatchObject({ code: 'GATEWAY_TIMEOUT' })
  })

  test('when it cuts the connection in mid-answer', async () => {
    const { pieces, outcome } = await askOf((request, response) => {
      stream(request, response)
      response.write('data: {"choices":[{"index', () => response.destroy())
    })
    expect(pieces).toEqual(['one', ' two'])
    expect(outcome).toMatchObject({ code: 'BAD_GATEWAY' })
  })

  test('when it ends the answer politely, but too early', async () => {
    const { pieces, outcome } = await askOf((request, response) => {
      stream(request, response)
      response.end()
    })
    expect(pieces).toEqual(['one', ' two'])
    expect(outcome).toMatchObject({ code: 'BAD_GATEWAY' })
  })

  test('when it talks nonsense', async () => {
    const { outcome } = await askOf((_, response) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' })
      response.end('data: {{{\n\n')
    })
    expect(outcome).toMatchObject({ code: 'BAD_GATEWAY' })
  })
})
