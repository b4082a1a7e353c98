/** Where in the app one is: the address, as a union. Small enough not to need a router of somebody else's. */
import { useMemo, useSyncExternalStore } from 'react'
import { ConversationId, RoomId } from '../shared/schemas.ts'

export type Place =
  | { readonly area: 'chat'; readonly room: string }
  | { readonly area: 'assistant'; readonly conversation: string | null }

const home = { area: 'chat', room: 'general' } as const satisfies Place

export function toPath(place: Place): string {
  if (place.area === 'chat') return `/chat/${place.room}`
  return place.conversation === null ? '/assistant' : `/assistant/${place.conversation}`
}

/** The place of a path; one that leads nowhere leads home. */
export function toPlace(path: string): Place {
  const [, area, id] = path.split('/')
  if (area === 'chat') return { area, room: RoomId.safeParse(id).data ?? home.room }
  if (area === 'assistant') return { area, conversation: ConversationId.safeParse(id).data ?? null }
  return home
}

export function usePlace(): Place {
  const path = useSyncExternalStore(onMove, () => location.pathname)
  return useMemo(() => toPlace(path), [path])
}

export function goTo(place: Place, { replace = false } = {}): void {
  history[replace ? 'replaceState' : 'pushState'](null, '', toPath(place))
  window.dispatchEvent(new PopStateEvent('popstate'))
}

function onMove(listener: () => void): () => void {
  window.addEventListener('popstate', listener)
  return () => window.removeEventListener('popstate', listener)
}
