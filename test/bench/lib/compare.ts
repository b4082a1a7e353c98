/** Takes a row's figures, in turn and several times, and makes them comparable. */
import type { BenchOptions } from './options.ts'
import type { PeerName } from './peer.ts'
import type { Row } from './scenario.ts'
import { median } from './table.ts'

export type Figures = Partial<Record<PeerName, readonly number[]>>

export interface Result {
  readonly name: string
  readonly figures: Figures
}

/** In turn, so that a machine whose speed drifts does it to all. */
export async function compare(row: Row, { rounds, peers }: BenchOptions): Promise<Result> {
  const figures: Partial<Record<PeerName, number[]>> = {}
  for (let round = 0; round < rounds; round++) {
    for (const peer of row.peers) {
      if (peers?.includes(peer) === false) continue
      const figure = await row.measure(peer)
      ;(figures[peer] ??= []).push(figure)
    }
  }
  return { name: row.name, figures }
}

/** How many times less than stock, round by round: a round's figures were taken on the same machine in the same mood. */
export function ratios({ stock = [] }: Figures, of: readonly number[] = []): readonly number[] {
  return stock.flatMap((figure, round) => {
    const other = of[round]
    return other === undefined ? [] : figure / other
  })
}

/** The best of those that are neither tRPC nor ours nor a floor. */
export function bestPeer(figures: Figures): PeerName | null {
  const others = (['orpc', 'socketio', 'hono', 'graphql'] as const).filter(peer => figures[peer])
  const cost = (peer: PeerName) => median(figures[peer] ?? [])
  return others.toSorted((a, b) => cost(a) - cost(b))[0] ?? null
}
