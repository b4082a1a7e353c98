/**
 * Promises 1 to 4 on a simulated network and a clock that stands still: whatever is published, retained, wiped,
 * stalled and left, what each subscriber saw is what its policy promises, at bounded memory, and nothing is left.
 *
 * A failure prints its schedule, its seed and its path; the line that is printed first replays the run.
 */
import fc from 'fast-check'
import { test } from 'vitest'
import { World, type Person, type WorldOptions } from './simulated/world.ts'
import type { Numbered } from './simulated/witness.ts'

const numRuns = Number(process.env['SIMULATED_SCHEDULES'] ?? 10_000)
const seed = Number(process.env['SIMULATED_SEED'] ?? Date.now() | 0)

type Step =
  | { readonly do: 'publish'; readonly key: string; readonly count: number; readonly node: number }
  | { readonly do: 'ask' | 'leave'; readonly who: number }
  | { readonly do: 'stall' | 'flow' | 'cut'; readonly wire: number }
  | { readonly do: 'trickle'; readonly wire: number; readonly bytes: number }
  | { readonly do: 'wipe'; readonly key: string }
  | { readonly do: 'turn' }
  | { readonly do: 'wait'; readonly ms: number }

const people = 4
const key = fc.constantFrom('a', 'a', 'b')
const wire = fc.nat({ max: 1 })
const node = fc.constantFrom(0, 0, 1)
const who = fc.nat({ max: people - 1 })
const one = <Kind extends string>(kind: Kind) => fc.constant(kind)

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 7,
    arbitrary: fc.record({ do: one('publish'), key, node, count: fc.integer({ min: 1, max: 12 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: one('publish'), key, node, count: fc.integer({ min: 60, max: 100 }) }),
  },
  { weight: 6, arbitrary: fc.record({ do: one('ask'), who }) },
  { weight: 2, arbitrary: fc.record({ do: one('leave'), who }) },
  { weight: 3, arbitrary: fc.record({ do: one('stall'), wire }) },
  { weight: 3, arbitrary: fc.record({ do: one('flow'), wire }) },
  { weight: 3, arbitrary: fc.record({ do: one('trickle'), wire, bytes: fc.integer({ min: 1, max: 400 }) }) },
  { weight: 1, arbitrary: fc.record({ do: one('cut'), wire }) },
  { weight: 1, arbitrary: fc.record({ do: one('wipe'), key }) },
  { weight: 7, arbitrary: fc.record({ do: one('turn') }) },
  { weight: 2, arbitrary: fc.record({ do: one('wait'), ms: fc.constantFrom(1, 99, 100, 500) }) },
)

const person: fc.Arbitrary<Person> = fc.record({
  wire,
  node,
  key,
  from: fc.constantFrom('start', 'end'),
  whenSlow: fc.constantFrom(
    'wait' as const,
    { policy: 'drop-oldest' as const, maxLag: 1 },
    { policy: 'drop-oldest' as const, maxLag: 5 },
    { policy: 'conflate' as const, by: ({ n }: Numbered) => String(n % 3) },
    { policy: 'disconnect' as const, afterMs: 500 },
  ),
  filtered: fc.boolean(),
  pushed: fc.boolean(),
  upon: fc.constantFrom('nothing', 'nothing', 'leave', 'send another away', 'leave in the filter'),
})

const world: fc.Arbitrary<WorldOptions> = fc
  .record({
    ringSize: fc.integer({ min: 1, max: 32 }),
    ringBytes: fc.integer({ min: 1, max: 1_000 }),
    retain: fc.constantFrom({}, { maxEvents: 1 }, { maxEvents: 10 }, { maxAgeMs: 100 }),
    onGap: fc.constantFrom('error' as const, 'latest' as const, 'snapshot' as const),
    highWaterBytes: fc.constantFrom(100, 1_000, 65_536),
    joins: fc.boolean(),
    people: fc.array(person, { minLength: people, maxLength: people }),
  })
  // A state is of what is retained, and what has aged between two checkpoints is not.
  .filter(({ retain, onGap }) => onGap !== 'snapshot' || !('maxAgeMs' in retain))

async function play(options: WorldOptions, steps: readonly Step[]): Promise<void> {
  const world = new World(options)
  for (const step of steps) {
    switch (step.do) {
      case 'publish':
        await world.publish(step.key, step.count, step.node)
        break
      case 'ask':
        world.ask(step.who)
        break
      case 'leave':
        world.leave(step.who)
        break
      case 'stall':
        world.wire(step.wire).stalled = true
        break
      case 'flow':
        world.wire(step.wire).stalled = false
        break
      case 'trickle':
        world.trickle(step.wire, step.bytes)
        break
      case 'cut':
        world.cut(step.wire)
        break
      case 'wipe':
        await world.wipe(step.key)
        break
      case 'turn':
        await world.turn()
        break
      case 'wait':
        await world.wait(step.ms)
        break
      default:
        step satisfies never
    }
  }
  await world.settle()
  world.checkCounts()
  await world.end()
}

test('whatever happens, each subscriber sees what its policy promises', { timeout: 900_000 }, async () => {
  console.log(`SIMULATED_SEED=${seed} npx vitest run --project integration test/promises/simulated.test.ts`)
  const schedule = fc.array(step, { minLength: 5, maxLength: 30, size: 'max' })
  await fc.assert(fc.asyncProperty(world, schedule, play), { numRuns, seed })
})
