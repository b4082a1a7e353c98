/** `shareTabs`: what an application says about sharing, and what that comes to. */
import { canShare } from './page.ts'
import { Seat, type TabsRoute } from './seat.ts'

export interface TabOptions {
  /**
   * Who is logged in: the user's id, say. Tabs share a connection only while they give the same answer. A function is
   * asked at each connect, and whenever something is asked of another tab; one that throws makes this tab connect by
   * itself.
   */
  readonly identity: string | (() => string)
  /**
   * Links share only with links of the same name (and the same `url` and codec). Default `'default'`: give one where
   * `url` is a function, and two links of your page have different servers.
   */
  readonly name?: string
  /** Silence after which a tab asks the one it shares with for a sign of life, in milliseconds. Default 5,000. */
  readonly heartbeatMs?: number
  /**
   * How long that may take to answer, in milliseconds; then another tab takes the connection over. Default 2,000.
   * Browsers hold back the timers of hidden tabs, so that these may notice up to a minute later.
   */
  readonly answerMs?: number
}

/** For `sluiceLink({ tabs })`, of one link or several. */
export interface TabSharing {
  /** @returns null where nothing can be shared: then the link connects by itself. */
  join(route: TabsRoute): Seat | null
}

/**
 * One connection for all tabs of a browser. One of them, the leader, has it; the others ask through it, each from its
 * own cursor, so that when the leader goes away (closed, crashed, frozen or navigated elsewhere) the next one goes on
 * where each of them was. Without Web Locks or BroadcastChannel (Node, React Native, pages that are not secure) each
 * tab has a connection of its own.
 *
 * @throws RangeError when a duration is negative.
 * @example
 * ```ts
 * const link = sluiceLink<AppRouter>({ url: '/trpc', tabs: shareTabs({ identity: () => session.userId }) })
 * ```
 */
export function shareTabs(options: TabOptions): TabSharing {
  const { identity, name = 'default', heartbeatMs = 5_000, answerMs = 2_000 } = options
  for (const [which, ms] of Object.entries({ heartbeatMs, answerMs })) {
    if (!(ms >= 0))
      throw new RangeError(`${which} is ${ms}; pass a number of milliseconds that is not negative.`)
  }
  const who = typeof identity === 'function' ? identity : () => identity
  return {
    join: route => (canShare() ? new Seat(route, { identity: who, name, heartbeatMs, answerMs }) : null),
  }
}
