import { describe, expect, test } from 'vitest'
import { createSubscription, type Subscription } from '../../../client/subscriptions/subscription.ts'
import { SluiceError } from '../../../shared/errors.ts'

function create(input?: unknown) {
  const seen: unknown[] = []
  const errors: Error[] = []
  const subscription = createSubscription({
    path: 'onRoom',
    input,
    serialized: input,
    observer: {
      next: ({ result }) => {
        if (result.type === 'state') seen.push(result.state)
        else seen.push(result.type === 'data' || result.type === undefined ? result.data : result.type)
      },
      error: error => seen.push(error),
      complete: () => seen.push('complete'),
    },
    flow: undefined,
    onLag: undefined,
    onError: error => errors.push(error),
  })
  return { subscription, seen, errors }
}

const receive = (subscription: Subscription, data: unknown, eventId?: string) =>
  subscription.next({ type: 'data', id: lastId, eventId, data, size: 1 })

let lastId = 0
const askedFrom = (subscription: Subscription) => subscription.ask((lastId += 1)).wish().lastEventId

describe('the cursor', () => {
  test('is seeded with what the application asked for', () => {
    expect(askedFrom(create({ lastEventId: 'a' }).subscription)).toBe('a')
    expect(askedFrom(create({ lastEventId: 7 }).subscription)).toBeUndefined()
    expect(askedFrom(create().subscription)).toBeUndefined()
  })

  test('trap 1: a quiet subscription resumes from where it began', () => {
    const { subscription } = create()
    askedFrom(subscription)
    subscription.started('p.0')
    expect(askedFrom(subscription)).toBe('p.0')
  })

  test('trap 2: a second reconnect before a new event does not forget it', () => {
    const { subscription } = create()
    askedFrom(subscription)
    receive(subscription, {}, 'e1')
    expect(askedFrom(subscription)).toBe('e1')
    subscription.started('p.9')
    expect(askedFrom(subscription)).toBe('e1')
  })

  test('trap 3: an event that was recovered advances it', () => {
    const { subscription } = create()
    askedFrom(subscription)
    receive(subscription, {}, 'e1')
    askedFrom(subscription)
    receive(subscription, {}, 'e2')
    expect(askedFrom(subscription)).toBe('e2')
  })

  test('moves before the application sees the event', () => {
    const at: (string | undefined)[] = []
    const subscription: Subscription = createSubscription({
      path: 'p',
      input: undefined,
      serialized: undefined,
      observer: { next: () => at.push(subscription.cursor), error: () => {}, complete: () => {} },
      flow: undefined,
      onLag: undefined,
      onError: () => {},
    })
    receive(subscription, {}, 'e1')
    expect(at).toEqual(['e1'])
  })
})

describe('repeats', () => {
  test('of what came before a reconnect are dropped after it, and leave the cursor alone', () => {
    const { subscription, seen } = create()
    askedFrom(subscription)
    for (const id of ['1', '2', '3']) receive(subscription, id, id)
    askedFrom(subscription)
    for (const id of ['2', '3', '4']) receive(subscription, id, id)
    expect(seen).toEqual(['1', '2', '3', '4'])
    expect(subscription.cursor).toBe('4')
  })

  test('within one life of a connection are the business of the application', () => {
    const { subscription, seen } = create()
    askedFrom(subscription)
    for (const id of ['x', 'x']) receive(subscription, id, id)
    expect(seen).toEqual(['x', 'x'])
  })

  test('are known of the last thousand ids', () => {
    const { subscription, seen } = create()
    askedFrom(subscription)
    for (let n = 1; n <= 1_500; n++) receive(subscription, n, String(n))
    askedFrom(subscription)
    for (let n = 1; n <= 1_500; n++) receive(subscription, n, String(n))
    expect(seen).toHaveLength(1_500 + 500)
  })
})

describe('the observer', () => {
  test("is told what tRPC's own links tell", () => {
    const { subscription, seen } = create()
    subscription.connecting(null)
    askedFrom(subscription)
    subscription.started(undefined)
    receive(subscription, 'one')
    subscription.connecting(new SluiceError('CONNECTION_LOST', 'cut'))
    subscription.started(undefined)
    subscription.stopped()
    expect(seen).toEqual([
      'connecting',
      'started',
      'pending',
      'one',
      'connecting',
      'started',
      'pending',
      'stopped',
      'idle',
      'complete',
    ])
  })

  test('trap 17: what is over is told nothing more', () => {
    const { subscription, seen } = create()
    subscription.stopped()
    const told = seen.length
    receive(subscription, 'late', 'e9')
    subscription.started(undefined)
    subscription.fail(new SluiceError('CONNECTION_LOST', 'late'))
    expect(seen).toHaveLength(told)
  })

  test('that throws is handed to onError, and the subscription goes on', () => {
    const errors: Error[] = []
    let calls = 0
    const subscription = createSubscription({
      path: 'p',
      input: undefined,
      serialized: undefined,
      observer: {
        next: () => {
          calls += 1
          throw new Error('of the application')
        },
        error: () => {},
        complete: () => {},
      },
      flow: undefined,
      onLag: undefined,
      onError: error => errors.push(error),
    })
    receive(subscription, 1)
    receive(subscription, 2)
    expect([calls, errors.map(error => error.message)]).toEqual([
      2,
      ['of the application', 'of the application'],
    ])
  })
})
