// @vitest-environment happy-dom
/** The hooks, over a real server, in React's strict mode. */
import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { act, cleanup, render, screen, waitFor } from '@testing-library/react'
import { createTRPCReact } from '@trpc/react-query'
import { StrictMode, useEffect, useState, type ReactNode } from 'react'
import { renderToString } from 'react-dom/server'
import { skipToken, SluiceProvider, useConnection, useStream } from 'trpc-sluice/react'
import { eventually } from 'trpc-sluice/testing'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { connect, range, type TestClient } from './connect.ts'
import { startServer, type Router } from './server.ts'

afterEach(cleanup)

const text = (testId: string) => screen.getByTestId(testId).textContent

const sum = { initial: 0, step: (total: number, event: { n: number }) => total + event.n }

interface LogProps {
  readonly on: TestClient
  readonly input?: { lastEventId?: string } | typeof skipToken
  readonly maxEvents?: number
  readonly enabled?: boolean
  readonly onRender?: () => void
}

function Log({ on, input = {}, onRender, ...options }: LogProps) {
  const { events, status, error } = useStream(on.client.onLog, input, options)
  useEffect(() => {
    onRender?.()
  })
  return (
    <>
      <p data-testid="numbers">{events.map(event => event.data.n).join(',')}</p>
      <p data-testid="status">{status}</p>
      <p data-testid="error">{error?.message}</p>
    </>
  )
}

function Sum({ on }: { readonly on: TestClient }) {
  const { state, status } = useStream(on.client.onLog, {}, { fold: sum })
  return (
    <>
      <p data-testid="sum">{state}</p>
      <p data-testid="status">{status}</p>
    </>
  )
}

describe('useStream', () => {
  test('shows events as they come, and goes on after a loss', async () => {
    await using server = await startServer('Sluice')
    using client = connect({ url: server.url, transport: 'websocket' })
    render(<Log on={client} />, { wrapper: StrictMode })
    expect(text('status')).toBe('connecting')
    server.log.publish(1, 2)
    await waitFor(() => expect(text('numbers')).toBe('1,2'))
    expect(text('status')).toBe('live')

    await act(() => server.stop())
    await waitFor(() => expect(text('status')).toBe('reconnecting'))
    expect(text('numbers')).toBe('1,2')
    server.log.publish(3)
    await act(() => server.start())
    await waitFor(() => expect(text('numbers')).toBe('1,2,3'))
    expect(text('status')).toBe('live')
    expect(server.log.readers).toBe(1) // strict mode has left no second one
  })

  test('folds: a replay of thousands is a handful of renders', async () => {
    await using server = await startServer('Sluice')
    server.log.publish(...range(1, 10_000))
    using client = connect({ url: server.url, transport: 'websocket' })
    let renders = 0
    const frames = vi.spyOn(globalThis, 'requestAnimationFrame')
    const Counting = () => {
      const { state } = useStream(client.client.onLog, {}, { fold: sum })
      useEffect(() => {
        renders += 1
      })
      return <p data-testid="sum">{state}</p>
    }
    render(<Counting />)
    await waitFor(() => expect(text('sum')).toBe(String((10_000 * 10_001) / 2)), { timeout: 5_000 })
    expect(renders).toBeLessThanOrEqual(frames.mock.calls.length + 2) // mounting, and the last one
    expect(renders).toBeLessThan(400)
    frames.mockRestore()
  })

  test('keeps the latest events, as many as it was told', async () => {
    await using server = await startServer('Sluice')
    server.log.publish(...range(1, 100))
    using client = connect({ url: server.url, transport: 'websocket' })
    render(<Log on={client} maxEvents={3} />)
    await waitFor(() => expect(text('numbers')).toBe('98,99,100'))
  })

  test('another input is another stream, and no frame mixes the two', async () => {
    await using server = await startServer('Sluice')
    server.log.publish(1, 2, 3)
    using client = connect({ url: server.url, transport: 'websocket' })
    const shown: string[] = []
    const onRender = () => shown.push(text('numbers') ?? '')
    const { rerender } = render(<Log on={client} input={{ lastEventId: '1' }} onRender={onRender} />)
    await waitFor(() => expect(text('numbers')).toBe('2,3'))
    shown.length = 0
    rerender(<Log on={client} input={{ lastEventId: '1' }} onRender={onRender} />) // equal, though another object
    expect(text('numbers')).toBe('2,3')
    rerender(<Log on={client} input={{ lastEventId: '2' }} onRender={onRender} />)
    expect(text('numbers')).toBe('')
    await waitFor(() => expect(text('numbers')).toBe('3'))
    expect(shown.slice(1)).not.toContain('2,3')
    await eventually(() => server.log.readers === 1)
  })

  test('subscribes to nothing while it is skipped or not enabled', async () => {
    await using server = await startServer('Sluice')
    using client = connect({ url: server.url, transport: 'websocket' })
    const { rerender } = render(<Log on={client} input={skipToken} />)
    expect(text('status')).toBe('idle')
    rerender(<Log on={client} enabled={false} />)
    expect(text('status')).toBe('idle')
    expect(client.states).toEqual([])
    rerender(<Log on={client} />)
    server.log.publish(1)
    await waitFor(() => expect(text('numbers')).toBe('1'))
    rerender(<Log on={client} enabled={false} />)
    await eventually(() => server.log.readers === 0)
    expect(text('numbers')).toBe('1')
    server.log.publish(2)
    rerender(<Log on={client} />)
    await waitFor(() => expect(text('numbers')).toBe('1,2')) // it went on where it was
  })

  test('tells the end, the error, and begins anew when it is reset', async () => {
    await using server = await startServer('Sluice')
    using client = connect({ url: server.url, transport: 'websocket' })
    const Both = () => {
      const counting = useStream(client.client.countTo, 3)
      const failing = useStream(client.client.failing, undefined)
      return (
        <>
          <p data-testid="count">{`${counting.events.join(',')} ${counting.status}`}</p>
          <p data-testid="fail">{`${failing.status} ${failing.error?.data?.code}`}</p>
          <button onClick={counting.reset}>again</button>
        </>
      )
    }
    render(<Both />, { wrapper: StrictMode })
    await waitFor(() => expect(text('count')).toBe('1,2,3 done'))
    await waitFor(() => expect(text('fail')).toBe('error CONFLICT'))
    act(() => screen.getByText('again').click())
    expect(text('count')).toBe(' connecting')
    await waitFor(() => expect(text('count')).toBe('1,2,3 done'))
  })

  test('unmounting in mid-connect leaves nothing behind', async () => {
    await using server = await startServer('Sluice')
    using client = connect({ url: server.url, transport: 'websocket', closeWhenIdleMs: 0 })
    for (let i = 0; i < 10; i++) render(<Log on={client} />, { wrapper: StrictMode }).unmount()
    await eventually(() => client.link.connection.get().at === 'idle')
    await eventually(() => server.openSockets === 0)
    expect(server.log.readers).toBe(0)
  })

  test('renders on a server without subscribing', () => {
    using client = connect({ url: '/trpc' })
    expect(renderToString(<Sum on={client} />)).toContain('connecting')
    expect(client.states).toEqual([])
  })
})

describe('useConnection', () => {
  const Badge = () => {
    const { state, transport, why, retryInMs, attempt } = useConnection()
    return (
      <>
        <p data-testid="state">{`${state} ${transport}`}</p>
        <p data-testid="why">{why?.message}</p>
        <p data-testid="retry">
          {retryInMs === null ? 'none' : `${attempt}: ${Math.ceil(retryInMs / 1_000)} s`}
        </p>
      </>
    )
  }

  test('shows what the connection does, and why', async () => {
    await using server = await startServer('Sluice')
    using client = connect({ url: server.url, transport: 'websocket', retryDelayMs: () => 5_000 })
    render(
      <SluiceProvider link={client.link}>
        <Badge />
        <Log on={client} />
      </SluiceProvider>,
      { wrapper: StrictMode },
    )
    await waitFor(() => expect(text('state')).toBe('ready websocket'))
    await act(() => server.stop())
    await waitFor(() => expect(text('state')).toBe('waiting null'))
    expect(text('why')).toBe('The WebSocket was closed with code 1006.')
    await waitFor(() => expect(text('retry')).toBe('1: 5 s'))
    await waitFor(() => expect(text('retry')).toBe('1: 4 s'), { timeout: 3_000 })
    await act(() => server.start())
    act(() => client.link.connection.wake())
    await waitFor(() => expect(text('state')).toBe('ready websocket'))
    expect(text('retry')).toBe('none')
  })

  test('says what is missing where there is no provider', () => {
    expect(() => renderToString(<Badge />)).toThrow('Put one around the app')
  })
})

describe("@trpc/react-query's own useSubscription", () => {
  test('works unchanged over our link', async () => {
    await using server = await startServer('stock tRPC')
    using client = connect({ url: server.url, transport: 'websocket' })
    const trpc = createTRPCReact<Router>()
    const queryClient = new QueryClient()
    const trpcClient = trpc.createClient({ links: [client.link] })
    const Wrapper = ({ children }: { readonly children: ReactNode }) => (
      <trpc.Provider client={trpcClient} queryClient={queryClient}>
        <QueryClientProvider client={queryClient}>{children}</QueryClientProvider>
      </trpc.Provider>
    )
    const Page = () => {
      const [numbers, setNumbers] = useState<number[]>([])
      const { status, data } = trpc.onLog.useSubscription(
        {},
        { onData: event => setNumbers(numbers => [...numbers, event.data.n]) },
      )
      const echo = trpc.echo.useQuery('hello')
      return (
        <>
          <p data-testid="numbers">{numbers.join(',')}</p>
          <p data-testid="status">{status}</p>
          <p data-testid="last">{data?.id}</p>
          <p data-testid="echo">{String(echo.data)}</p>
        </>
      )
    }
    render(<Page />, { wrapper: Wrapper })
    server.log.publish(1)
    await waitFor(() => expect(text('numbers')).toBe('1'))
    expect(text('status')).toBe('pending')
    await waitFor(() => expect(text('echo')).toBe('hello'))
    await act(() => server.stop())
    await waitFor(() => expect(text('status')).toBe('connecting'))
    server.log.publish(2)
    await act(() => server.start())
    await waitFor(() => expect(text('numbers')).toBe('1,2'))
    expect([text('status'), text('last')]).toEqual(['pending', '2'])
  })
})
