/** The least that a client can do that comes back: `ws`, JSON, and the id of the last event. */
import { WebSocket } from 'ws'
import { toUrl } from './links.ts'

interface Message {
  readonly result?: { readonly type?: string; readonly id?: string }
}

/** Settles when the subscription has started for the first time. */
export function resumeByHand(port: number, onEvent: () => void): Promise<void> {
  let lastEventId: string | undefined
  return new Promise(onStarted => {
    const connect = () => {
      const socket = new WebSocket(toUrl('ws', port))
      const params = { path: 'events', input: { json: {} }, lastEventId }
      socket.on('open', () => socket.send(JSON.stringify({ id: 1, method: 'subscription', params })))
      socket.on('error', () => {}) // followed by a close
      socket.on('close', connect)
      socket.on('message', text => {
        const parsed: unknown = JSON.parse(String(text))
        const messages = Array.isArray(parsed) ? parsed : [parsed]
        for (const { result } of messages as Message[]) {
          if (result?.type === 'started') onStarted()
          if (result?.type !== 'data') continue
          lastEventId = result.id
          onEvent()
        }
      })
    }
    connect()
  })
}
