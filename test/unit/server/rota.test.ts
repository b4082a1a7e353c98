import { createFakeClock } from 'trpc-sluice/testing'
import { expect, test } from 'vitest'
import { Heartbeats } from '../../../server/session/liveness.ts'
import { Rota } from '../../../server/rota.ts'

test('each is called when its own time is up, by one timer', async () => {
  const clock = createFakeClock()
  const due: string[] = []
  const rota = new Rota<string>(100, clock, member => due.push(`${member} at ${clock.now()}`))
  rota.add('a')
  await clock.advance(30)
  rota.add('b')
  await clock.advance(30)
  rota.add('c')
  rota.add('a') // anew
  expect(clock.pending).toBe(1)
  await clock.advance(200)
  expect(due).toEqual(['b at 130', 'c at 160', 'a at 160'])
  expect(clock.pending).toBe(0)
})

test('who has left is not called, not even when another of the same moment sends it away', async () => {
  const clock = createFakeClock()
  const due: string[] = []
  const rota: Rota<string> = new Rota(100, clock, member => {
    due.push(member)
    rota.delete('c')
    if (due.length === 1) rota.add(member)
  })
  for (const member of ['a', 'b', 'c', 'd']) rota.add(member)
  rota.delete('b')
  await clock.advance(100)
  expect(due).toEqual(['a', 'd'])
  expect(clock.pending).toBe(1)
  rota.delete('a')
  await clock.advance(100) // its timer fires once more, and finds nobody
  expect(due).toEqual(['a', 'd'])
  expect(clock.pending).toBe(0)
})

test('a system clock that is set back by an hour makes nobody wait for an hour', async () => {
  const time = createFakeClock({ now: 3_600_000 })
  let back = 0
  const clock = { ...time, now: () => time.now() - back }
  const due: string[] = []
  const rota = new Rota<string>(100, clock, member => due.push(member))
  rota.add('a')
  await time.advance(50)
  rota.add('b')
  back = 3_600_000
  await time.advance(25)
  rota.add('c')
  await time.advance(200)
  expect(due).toEqual(['a', 'b', 'c'])
})

test('a quiet peer is asked, and cut off if it stays quiet; one that answers is asked again', async () => {
  const clock = createFakeClock()
  const heartbeats = new Heartbeats({ enabled: true, pingMs: 1_000, pongWaitMs: 100 }, clock)
  const told: string[] = []
  const peer = (name: string, answers: boolean) => {
    const peer = {
      ping() {
        told.push(`ping ${name} at ${clock.now()}`)
        if (answers) clock.after(50, () => heartbeats.heard(peer))
      },
      cutOff: () => told.push(`cut off ${name} at ${clock.now()}`),
    }
    heartbeats.heard(peer)
    return peer
  }
  const quick = peer('quick', true)
  peer('dead', false)
  const gone = peer('gone', false)
  await clock.advance(500)
  heartbeats.forget(gone)
  await clock.advance(1_600)
  expect(told).toEqual([
    'ping quick at 1000',
    'ping dead at 1000',
    'cut off dead at 1100',
    'ping quick at 2050',
  ])
  heartbeats.forget(quick)
  await clock.advance(1_000)
  expect(clock.pending).toBe(0)
})
