/**
 * What a topic's subscription may deliver beside its events. They travel as ordinary data, so that stock clients
 * receive them too, and are told apart by one reserved member.
 */

/** Events before this place are missing; what follows is contiguous again. */
export type Gap =
  | {
      readonly $sluice: 'gap'
      /** `trimmed`: retention dropped them. `reborn`: the log was wiped and began a new epoch. */
      readonly reason: 'trimmed' | 'reborn'
    }
  | {
      readonly $sluice: 'gap'
      /** The reader was too slow, and asked for the latest (`whenSlow: { policy: 'drop-oldest' }`). */
      readonly reason: 'dropped'
      /** How many events of the log, also those that a `filter` would have skipped. */
      readonly dropped: number
    }

export type GapReason = Gap['reason']

/** The state of the topic's fold at this place; events after it are deltas to it. */
export interface Snapshot<State> {
  readonly $sluice: 'snapshot'
  readonly state: State
}

/** How far a subscription is behind its log. */
export interface Lag {
  /** Events that it has not been sent yet. */
  readonly events: number
  /** How long ago the first of them was published, in milliseconds; 0 without any. */
  readonly ms: number
}

/** The last item of a run's stream: how it ended. Nothing follows it. */
export interface RunEnd<Result = unknown> {
  readonly $sluice: 'end'
  readonly outcome: RunOutcome<Result>
}

export type RunOutcome<Result = unknown> =
  | { readonly status: 'done'; readonly result: Result }
  /** The handler threw. The message is the error's own only where the run says that it may be shown. */
  | { readonly status: 'failed'; readonly error: { readonly code: string; readonly message: string } }
  | { readonly status: 'stopped' }
  /** Its server died or was restarted while it ran. */
  | { readonly status: 'interrupted' }

/** A typed reducer that both sides import: the same state on the server and in the browser. */
export interface Fold<Event, State> {
  readonly initial: State
  /** Pure: returns the next state and leaves the old one as it is. */
  readonly step: (state: State, event: Event) => State
}

export function isGap(item: unknown): item is Gap {
  return hasMark(item, 'gap')
}

export function isSnapshot<State = unknown>(item: unknown): item is Snapshot<State> {
  return hasMark(item, 'snapshot')
}

export function isRunEnd<Result = unknown>(item: unknown): item is RunEnd<Result> {
  return hasMark(item, 'end')
}

/** One of these, and no event of the application's. */
export function isSluiceItem(item: unknown): boolean {
  return typeof item === 'object' && item !== null && '$sluice' in item
}

function hasMark(item: unknown, mark: string): boolean {
  return typeof item === 'object' && item !== null && (item as { $sluice?: unknown }).$sluice === mark
}

/** Applies one item of a subscription to a folded state: a snapshot replaces it, an event steps it, the others leave it. */
export function foldItem<Event, State>(
  fold: Fold<Event, State>,
  state: State,
  item: Event | Gap | Snapshot<State> | RunEnd,
): State {
  if (isSnapshot<State>(item)) return item.state
  if (isGap(item) || isRunEnd(item)) return state
  return fold.step(state, item as Event)
}
