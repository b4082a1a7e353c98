/** The same conversation with tRPC's own WebSocket adapter and with ours: every frame must be the same text. */
import superjson from 'superjson'
import { describe, expect, test } from 'vitest'
import { eventually } from '../kit/deadline.ts'
import { createApp, type AppConfig } from './support/app.ts'
import { withPeer, type Peer, type PeerKind, type PeerOptions } from './support/peers.ts'
import type { RawWebSocket } from './support/raw-websocket.ts'

interface Setting {
  readonly app?: AppConfig
  readonly options?: PeerOptions
  /** Path and query of the upgrade. */
  readonly at?: string
}

/** One side of a conversation, in the encoding of the router's transformer. */
class Talk {
  constructor(
    readonly socket: RawWebSocket,
    readonly peer: Peer,
    readonly encode: (input: unknown) => unknown,
  ) {}

  message(id: number | string, method: string, path: string, input?: unknown, lastEventId?: string) {
    return { id, method, params: { path, input: this.encode(input), lastEventId } }
  }

  query(path: string, input?: unknown, id: number | string = 1): void {
    this.socket.send(this.message(id, 'query', path, input))
  }

  mutate(path: string, input?: unknown, id: number | string = 1): void {
    this.socket.send(this.message(id, 'mutation', path, input))
  }

  subscribe(path: string, input?: unknown, id: number | string = 1, lastEventId?: string): void {
    this.socket.send(this.message(id, 'subscription', path, input, lastEventId))
  }
}

/** Holds one conversation with each, and compares what was heard and what `onError` was told. */
function sameFrames(name: string, talk: (talk: Talk) => Promise<void>, setting: Setting = {}): void {
  test.each([false, true])(`${name} (superjson: %s)`, async useSuperjson => {
    const encode = (input: unknown) => (useSuperjson ? superjson.serialize(input) : input)
    const hold = (kind: PeerKind) =>
      withPeer(
        kind,
        createApp({ superjson: useSuperjson, ...setting.app }),
        setting.options ?? {},
        async peer => {
          const socket = await peer.open(setting.at)
          await talk(new Talk(socket, peer, encode))
          return { frames: [...socket.frames], errors: peer.errors }
        },
      )
    const stock = await hold('stock')
    expect(stock.frames.length).toBeGreaterThan(0)
    expect(await hold('ours')).toEqual(stock)
  })
}

describe('queries and mutations', () => {
  sameFrames('a result is answered under its id, with jsonrpc if the request had it', async talk => {
    talk.query('date')
    await talk.socket.count(1)
    talk.socket.send({ ...talk.message('text', 'query', 'whoAmI'), jsonrpc: '2.0' })
    await talk.socket.count(2)
    talk.query('nothing', undefined, 3)
    await talk.socket.count(3)
    talk.query('late.hello', undefined, 4.5)
    await talk.socket.count(4)
    talk.mutate('mutation', { any: ['input'] }, 5)
    await talk.socket.count(5)
  })

  sameFrames('an error is answered with its code, path and message', async talk => {
    let frames = 0
    for (const path of ['conflict', 'bug', 'throwsText', 'unknown', '__proto__', 'constructor', 'broken.x']) {
      talk.query(path)
      await talk.socket.count((frames += 1))
    }
    talk.mutate('whoAmI')
    await talk.socket.count((frames += 1))
    talk.query('query', { name: 7 })
    await talk.socket.count((frames += 1))
    talk.query('stream')
    await talk.socket.count((frames += 1))
  })

  sameFrames(
    "errors take the shape of the router's own formatter",
    async talk => {
      talk.query('conflict', { some: 'input' })
      await talk.socket.count(1)
      talk.subscribe('fails')
      await talk.socket.count(5)
    },
    { app: { formatErrors: true }, options: { createContext: () => ({ user: 'ann' }) } },
  )

  test('in development, an error carries its stack, like tRPC', async () => {
    const hold = (kind: PeerKind) =>
      withPeer(kind, createApp({ isDev: true }), {}, async peer => {
        const socket = await peer.open()
        socket.send({ id: 1, method: 'query', params: { path: 'bug' } })
        const [frame = ''] = await socket.count(1)
        const { error } = JSON.parse(frame) as { error: { data: { stack: string } } }
        return { ...error, data: { ...error.data, stack: error.data.stack.split('\n').slice(0, 2) } }
      })
    expect(await hold('ours')).toEqual(await hold('stock'))
  })

  sameFrames('a batch in one frame is answered one by one', async talk => {
    talk.socket.send([
      talk.message(1, 'query', 'whoAmI'),
      talk.message(2, 'query', 'conflict'),
      talk.message(3, 'subscription', 'deep.ticks'),
    ])
    await talk.socket.count(6)
  })
})

describe('subscriptions', () => {
  sameFrames('started, data, stopped', async talk => {
    talk.subscribe('plain')
    await talk.socket.count(7)
  })

  sameFrames('a lazily loaded router streams too, and so does a nested one', async talk => {
    talk.subscribe('late.ticks')
    await talk.socket.count(4)
    talk.subscribe('deep.ticks', undefined, 2)
    await talk.socket.count(8)
  })

  sameFrames('jsonrpc is echoed on every message', async talk => {
    talk.socket.send({ ...talk.message(1, 'subscription', 'deep.ticks'), jsonrpc: '2.0' })
    await talk.socket.count(4)
  })

  sameFrames('lastEventId is merged into the input', async talk => {
    for (const [index, input] of [undefined, null, { room: 'a' }, 'text', [1]].entries()) {
      talk.subscribe('echoInput', input, index, 'seven')
      await talk.socket.count(3 * (index + 1))
    }
    talk.socket.send(talk.message(5, 'mutation', 'mutation', undefined, 'seven'))
    await talk.socket.count(16)
    talk.subscribe('ticks', { n: 3 }, 6, '1')
    await talk.socket.count(20)
  })

  sameFrames('an error in mid-stream is told, then stopped', async talk => {
    talk.subscribe('fails')
    await talk.socket.count(4)
    talk.subscribe('failsPlainly', undefined, 2)
    await talk.socket.count(8)
    talk.subscribe('failsAtFirst', undefined, 3)
    await talk.socket.count(11)
    talk.subscribe('abortError', undefined, 4)
    await talk.socket.count(15)
  })

  sameFrames('an error in the set-up is told alone', async talk => {
    for (const [index, path] of ['failsInSetUp', 'notIterable', 'ticks', 'unknown', 'whoAmI'].entries()) {
      talk.subscribe(path, undefined, index)
      await talk.socket.count(index + 1)
    }
    await talk.socket.settled()
  })

  sameFrames('observables stream like generators', async talk => {
    talk.subscribe('observed')
    await talk.socket.count(4)
    talk.subscribe('observedFails', undefined, 2)
    await talk.socket.count(8)
  })

  sameFrames('stop is answered with stopped', async talk => {
    talk.subscribe('untilStopped')
    await talk.socket.count(2)
    talk.socket.send({ id: 1, method: 'subscription.stop' })
    await talk.socket.count(3)
    talk.socket.send({ id: 1, method: 'subscription.stop' })
    talk.socket.send({ id: 'never used', jsonrpc: '2.0', method: 'subscription.stop' })
    await talk.socket.settled()
    talk.subscribe('deep.ticks')
    await talk.socket.count(7)
  })

  sameFrames('an id used twice is an error, and the first subscription goes on', async talk => {
    talk.subscribe('untilStopped')
    await talk.socket.count(2)
    talk.subscribe('untilStopped')
    await talk.socket.count(3)
    talk.socket.send({ id: 1, method: 'subscription.stop' })
    await talk.socket.count(4)
  })

  sameFrames('a tracked event carries its id beside its data', async talk => {
    talk.subscribe('ticks', { n: 2 })
    await talk.socket.count(4)
  })

  sameFrames('a value that cannot be encoded is an error of its request alone', async talk => {
    talk.query('bigint')
    await talk.socket.count(1)
    talk.subscribe('bigints', undefined, 2)
    await talk.socket.count(4)
    await talk.socket.settled()
  })
})

describe('bad frames', () => {
  sameFrames('are answered with a parse error, and the connection stays', async talk => {
    const frames = [
      '{',
      'null',
      '"text"',
      '7',
      '{}',
      '{"id":1}',
      '{"id":1,"method":"fly","params":{"path":"x"}}',
      '{"id":{},"method":"query","params":{"path":"x"}}',
      '{"id":1,"method":"query"}',
      '{"id":1,"method":"query","params":null}',
      '{"id":1,"method":"query","params":{"path":7}}',
      '{"id":1,"jsonrpc":"1.0","method":"query","params":{"path":"x"}}',
      '{"id":1,"method":"subscription","params":{"path":"x","lastEventId":7}}',
      '{"id":null,"method":"query","params":{"path":"whoAmI"}}',
      '{"__proto__":{"id":1,"method":"query","params":{"path":"whoAmI"}}}',
      '[{"id":1,"method":"query","params":{"path":"whoAmI"}},{}]',
    ]
    for (const [index, frame] of frames.entries()) {
      talk.socket.send(frame)
      await talk.socket.count(index + 1)
    }
    talk.socket.send('[]')
    await talk.socket.settled()
    talk.socket.send(Buffer.from('{"id":1}'))
    await talk.socket.count(frames.length + 1)
    talk.query('whoAmI')
    await talk.socket.count(frames.length + 2)
  })
})

describe('connection', () => {
  const contextOfParams: PeerOptions = {
    createContext: ({ info }) => {
      const params = (info as { connectionParams: Record<string, string> | null }).connectionParams
      if (params?.token === 'wrong') throw new Error('who are you?')
      return { user: params?.token ?? 'no params' }
    },
  }
  const at = '?connectionParams=1'

  sameFrames(
    'connection params make the context',
    async talk => {
      talk.socket.send({ method: 'connectionParams', data: { token: 'ann' } })
      talk.query('whoAmI')
      await talk.socket.count(1)
    },
    { at, options: contextOfParams },
  )

  sameFrames(
    'connection params may be null',
    async talk => {
      talk.socket.send({ method: 'connectionParams', data: null })
      talk.query('whoAmI')
      await talk.socket.count(1)
    },
    { at, options: contextOfParams },
  )

  for (const hello of [
    '{',
    'null',
    '[]',
    '{"method":"connectionParams","data":{"token":7}}',
    '{"method":"connectionParams"}',
    '{"method":"connectionParams","data":{"token":"wrong"}}',
  ]) {
    sameFrames(
      `a first message of ${hello} is refused, and the connection closed`,
      async talk => {
        talk.socket.send(hello)
        talk.query('whoAmI')
        const { code } = await talk.socket.closed
        talk.socket.frames.push(`closed ${code}`)
      },
      { at, options: contextOfParams },
    )
  }

  sameFrames(
    'a context that throws is told to each request, and the connection closed',
    async talk => {
      talk.query('whoAmI')
      talk.subscribe('ticks', { n: 1 }, 2)
      const { code } = await talk.socket.closed
      talk.socket.frames.push(`closed ${code}`)
    },
    {
      options: {
        createContext: async () => {
          // Late enough for the two requests to have come.
          await new Promise(resolve => setTimeout(resolve, 100))
          throw new Error('no database')
        },
      },
    },
  )

  sameFrames('PING is answered with PONG', async talk => {
    talk.socket.send('PING')
    await talk.socket.count(1)
    talk.socket.send('PONG')
    await talk.socket.settled()
  })

  sameFrames(
    'PING is left unanswered if the app says so',
    async talk => {
      talk.socket.send('PING')
      talk.query('whoAmI')
      await talk.socket.count(1)
    },
    { options: { dangerouslyDisablePong: true } },
  )

  sameFrames(
    'a quiet client gets PING, and one that stays quiet is cut off',
    async talk => {
      await talk.socket.count(1)
      talk.socket.send('PONG')
      const { code } = await talk.socket.closed
      talk.socket.frames.push(`closed ${code}`)
    },
    { options: { keepAlive: { enabled: true, pingMs: 60, pongWaitMs: 60 } } },
  )

  sameFrames('clients are asked to reconnect', async talk => {
    await talk.socket.settled()
    talk.peer.broadcastReconnectNotification()
    await talk.socket.count(1)
  })

  sameFrames(
    'with a prefix, other paths are left alone',
    async talk => {
      const other = await talk.peer.open('/other')
      other.send('PING')
      talk.query('whoAmI')
      await talk.socket.count(1)
      await eventually(() => other.frames.length === 0)
    },
    { at: '/trpc', options: { prefix: '/trpc' } },
  )

  sameFrames(
    "messages go through the app's own encoder, heartbeats do not",
    async talk => {
      const send = (message: object) => talk.socket.send(Buffer.from(JSON.stringify(message), 'utf16le'))
      send(talk.message(1, 'query', 'whoAmI'))
      await talk.socket.count(1)
      send(talk.message(2, 'subscription', 'deep.ticks'))
      await talk.socket.count(5)
      talk.socket.send('PING')
      await talk.socket.count(6)
      talk.socket.send('{}')
      await talk.socket.count(7)
    },
    {
      options: {
        experimental_encoder: {
          encode: data => new Uint8Array(Buffer.from(JSON.stringify(data), 'utf16le')),
          decode: data => {
            if (typeof data === 'string') throw new Error('binary only')
            return JSON.parse(Buffer.from(data as Uint8Array).toString('utf16le'))
          },
        },
      },
    },
  )
})
