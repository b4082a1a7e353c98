/**
 * What a topic's subscription may deliver beside its events. They travel as ordinary data, so that stock clients
 * receive them too, and are told apart by one reserved member.
 */

/** Events between the client's cursor and this place are gone; what follows is contiguous again. */
export interface Gap {
  readonly $sluice: 'gap'
  /** `trimmed`: retention dropped them. `reborn`: the log was wiped and began a new epoch. */
  readonly reason: GapReason
}

export type GapReason = 'trimmed' | 'reborn'

/** The state of the topic's fold at this place; events after it are deltas to it. */
export interface Snapshot<State> {
  readonly $sluice: 'snapshot'
  readonly state: State
}

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

function hasMark(item: unknown, mark: string): boolean {
  return typeof item === 'object' && item !== null && (item as { $sluice?: unknown }).$sluice === mark
}

/** Applies one item of a subscription to a folded state: a snapshot replaces it, an event steps it, a gap leaves it. */
export function foldItem<Event, State>(
  fold: Fold<Event, State>,
  state: State,
  item: Event | Gap | Snapshot<State>,
): State {
  if (isSnapshot<State>(item)) return item.state
  if (isGap(item)) return state
  return fold.step(state, item as Event)
}
