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

let moved = false

export function goTo(place: Place): void {
  moved = true
  history.pushState(null, '', toPath(place))
  window.dispatchEvent(new PopStateEvent('popstate'))
}

/** Whether somebody has moved within the page: only then may it move the focus too. */
export function hasMoved(): boolean {
  return moved
}

function onMove(listener: () => void): () => void {
  window.addEventListener('popstate', listener)
  return () => window.removeEventListener('popstate', listener)
}
