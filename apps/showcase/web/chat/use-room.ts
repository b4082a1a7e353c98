/**
 * One room as the page shows it: pages of history, then what has happened since, with neither a hole nor a repeat
 * between them. The newest page says where it ends, and the subscription goes on from exactly there.
 */
import { useEffect, useMemo } from 'react'
import { skipToken, useStream } from 'trpc-sluice/react'
import { isGap } from 'trpc-sluice/shared'
import type { RoomEvent } from '../../shared/schemas.ts'
import { client, trpc } from '../api.tsx'

const pageSize = 50
/** What the server keeps of a room: so the page never forgets in the middle what the server still has. */
const maxLive = 10_000

export function useRoom(room: string) {
  const utils = trpc.useUtils()
  const history = trpc.chat.read.useInfiniteQuery(
    { room, limit: pageSize },
    { getNextPageParam: page => page.older, gcTime: 0, retry: true },
  )
  const end = history.data?.pages[0]?.end
  const live = useStream(client.chat.onRoom, end === undefined ? skipToken : { room, lastEventId: end }, {
    maxEvents: maxLive,
  })

  // The server no longer has what follows our place, so what we have does not join on: begin afresh.
  useEffect(() => {
    if (live.gap) void utils.chat.read.reset({ room })
  }, [live.gap, utils, room])

  const messages = useMemo<readonly RoomEvent[]>(() => {
    const pages = history.data?.pages.toReversed() ?? []
    return [
      ...pages.flatMap(page => page.events.map(({ event }) => event)),
      ...live.events.flatMap(({ data }) => (isGap(data) ? [] : [data])),
    ]
  }, [history.data, live.events])

  const { hasNextPage, isFetchingNextPage, fetchNextPage } = history
  return {
    messages,
    loading: history.isPending,
    error: live.error,
    older: {
      has: hasNextPage,
      loading: isFetchingNextPage,
      load: () => {
        if (!isFetchingNextPage) void fetchNextPage()
      },
    },
  }
}
