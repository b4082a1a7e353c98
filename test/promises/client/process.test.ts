/** A program of Node's ends when it is done, and not while it waits for a subscription to come back. */
import { eventually } from 'trpc-sluice/testing'
import { expect, test } from 'vitest'
import { loadProgram } from '../../support/program.ts'
import { startServer } from './server.ts'

const program = await loadProgram(new URL('program.ts', import.meta.url))

test.each(['websocket', 'sse'] as const)(
  'over %s, one that has its answer ends by itself',
  async transport => {
    await using server = await startServer('Sluice')
    await using running = program.start('query', server.url, transport)
    expect(await running.ended()).toBe(0)
    expect(running.printed).toBe('answer 5\n')
  },
)

test.each(['websocket', 'sse'] as const)(
  'over %s, one that waits for a lost server waits, and ends with its subscription',
  async transport => {
    await using server = await startServer('Sluice')
    await using running = program.start('follow', server.url, transport)
    server.log.publish(1)
    await eventually(() => running.printed === 'event 1\n')
    await server.stop()
    // Its own timers are all that could keep it alive now: long enough for several attempts.
    await Promise.race([running.ended(), new Promise(resolve => setTimeout(resolve, 500))])
    expect(running.hasEnded).toBe(false)
    await server.start()
    server.log.publish(2)
    expect(await running.ended()).toBe(0)
    expect(running.printed).toBe('event 1\nevent 2\n')
  },
)
