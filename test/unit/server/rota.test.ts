import { createFakeClock } from 'trpc-sluice/testing'
import { expect, test } from 'vitest'
import { Heartbeats, type Pinged } from '../../../server/session/liveness.ts'
import { Rota, Waiting } from '../../../server/rota.ts'

class Named extends Waiting {
  constructor(readonly name: string) {
    super()
  }
}

test('each is called when its own time is up, by one timer', async () => {
  const clock = createFakeClock()
  const due: string[] = []
  const rota = new Rota<Named>(100, clock, ({ name }) => due.push(`${name} at ${clock.now()}`))
  const [a, b, c] = [new Named('a'), new Named('b'), new Named('c')] as const
  rota.add(a)
  await clock.advance(30)
  rota.add(b)
  await clock.advance(30)
  rota.add(c)
  rota.add(a) // anew
  expect(clock.pending).toBe(1)
  await clock.advance(200)
  expect(due).toEqual(['b at 130', 'c at 160', 'a at 160'])
  expect(clock.pending).toBe(0)
})

test('who has left is not called, not even when another of the same moment sends it away', async () => {
  const clock = createFakeClock()
  const due: string[] = []
  const [a, b, c, d] = [new Named('a'), new Named('b'), new Named('c'), new Named('d')] as const
  const rota: Rota<Named> = new Rota(100, clock, ({ name }) => {
    due.push(name)
    c.unlink()
    if (due.length === 1) rota.add(a)
  })
  for (const named of [a, b, c, d]) rota.add(named)
  b.unlink()
  await clock.advance(100)
  expect(due).toEqual(['a', 'd'])
  expect(clock.pending).toBe(1)
  a.unlink()
  await clock.advance(100) // its timer fires once more, and finds nobody
  expect(due).toEqual(['a', 'd'])
  expect(clock.pending).toBe(0)
})

test('a system clock that is set back by an hour makes nobody wait for an hour', async () => {
  const time = createFakeClock({ now: 3_600_000 })
  let back = 0
  const clock = { ...time, now: () => time.now() - back }
  const due: string[] = []
  const rota = new Rota<Named>(100, clock, ({ name }) => due.push(name))
  const [a, b, c] = [new Named('a'), new Named('b'), new Named('c')] as const
  rota.add(a)
  await time.advance(50)
  rota.add(b)
  back = 3_600_000
  await time.advance(25)
  rota.add(c)
  await time.advance(200)
  expect(due).toEqual(['a', 'b', 'c'])
})

test('a quiet peer is asked, and cut off if it stays quiet; one that answers is asked again', async () => {
  const clock = createFakeClock()
  const heartbeats = new Heartbeats({ enabled: true, pingMs: 1_000, pongWaitMs: 100 }, clock)
  const told: string[] = []
  const peer = (name: string, answers: boolean) => {
    class Peer extends Waiting implements Pinged {
      ping() {
        told.push(`ping ${name} at ${clock.now()}`)
        if (answers) clock.after(50, () => heartbeats.heard(this))
      }
      cutOff() {
        told.push(`cut off ${name} at ${clock.now()}`)
      }
    }
    const peer = new Peer()
    heartbeats.heard(peer)
    return peer
  }
  const quick = peer('quick', true)
  peer('dead', false)
  const gone = peer('gone', false)
  await clock.advance(500)
  gone.unlink()
  await clock.advance(1_600)
  expect(told).toEqual([
    'ping quick at 1000',
    'ping dead at 1000',
    'cut off dead at 1100',
    'ping quick at 2050',
  ])
  quick.unlink()
  await clock.advance(1_000)
  expect(clock.pending).toBe(0)
})
