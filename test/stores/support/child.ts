import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { loadProgram } from '../../support/program.ts'
import type { PublisherLine, PublisherOptions } from './publisher.ts'

export interface Publisher {
  /** What it has said so far. */
  readonly lines: readonly PublisherLine[]
  /** Waits until it has said so much. */
  said(lines: number): Promise<void>
  kill(): void
  /** Waits for its end, and for the last of what it said. @returns its exit code; null when it was killed. */
  ended(): Promise<number | null>
}

const { path } = await loadProgram(new URL('publisher.ts', import.meta.url))
const argumentsOf = (options: PublisherOptions) => [path, JSON.stringify(options)]

/** Runs a publisher to its end while this process stands still. */
export function runPublisher(options: PublisherOptions): void {
  execFileSync(process.execPath, argumentsOf(options))
}

/** @param maxFileKb no file may grow beyond this: a full disk, for one process. */
export function startPublisher(options: PublisherOptions, maxFileKb?: number): Publisher {
  const node = [process.execPath, ...argumentsOf(options)]
  const limit = maxFileKb === undefined ? '' : `ulimit -f ${maxFileKb}; `
  const child = spawn('/bin/bash', ['-c', `${limit}exec "$@"`, 'bash', ...node], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const lines: PublisherLine[] = []
  let errors = ''
  let wake = () => {}
  let rest = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    // What follows the last line end is the beginning of a line; of one killed in mid-line nothing more will come.
    const complete = (rest + text).split('\n')
    rest = complete.pop() ?? ''
    lines.push(...complete.map(line => JSON.parse(line) as PublisherLine))
    wake()
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors = (errors + text).slice(-2000)))
  // 'close', not 'exit': by then all that it said has been read.
  const closed = once(child, 'close') as Promise<[number | null]>

  return {
    lines,
    async said(count) {
      while (lines.length < count) {
        const more = new Promise<void>(resolve => (wake = resolve))
        const isOver = await Promise.race([more.then(() => false), closed.then(() => true)])
        if (isOver && lines.length < count) throw new Error(`The publisher ended early. It said:\n${errors}`)
      }
    },
    kill: () => void child.kill('SIGKILL'),
    async ended() {
      const [code] = await closed
      if (code) throw new Error(`The publisher failed with code ${code}:\n${errors}`)
      return code
    },
  }
}
