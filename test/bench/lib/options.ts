/** What was asked for on the command line; scripts/bench.mjs has checked it. */
import type { PeerName } from './peer.ts'

export interface BenchOptions {
  /** Names of scenarios: files of this folder. */
  readonly scenarios: readonly string[]
  /** How often each figure is taken. */
  readonly rounds: number
  /** For how long, each time. */
  readonly seconds: number
  /** Only these; null for all. */
  readonly peers: readonly PeerName[] | null
  /** Only rows whose name contains this. */
  readonly only: string
  /** Whether each server writes a CPU profile. */
  readonly cpuProf: boolean
}

// From our own script, which has made it of options with these names.
export const options = JSON.parse(process.argv[2] ?? '') as BenchOptions

/** Where figures and profiles go; not part of the repository. */
export const output = new URL('../output/', import.meta.url)
