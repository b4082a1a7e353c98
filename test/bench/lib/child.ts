import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import 'trpc-sluice/shared'

/** A child process with typed messages both ways; ended with its block. */
export interface Child<Command, Report extends { readonly is: string }> extends AsyncDisposable {
  tell(command: Command): void
  /** The next report of a kind; rejects when the child ends before. */
  hear<Kind extends Report['is']>(kind: Kind): Promise<Extract<Report, { is: Kind }>>
}

export function startChild<Command, Report extends { readonly is: string }>(
  file: string,
  ...args: string[]
): Child<Command, Report> {
  const path = fileURLToPath(new URL(file, import.meta.url))
  const child = fork(path, args, { execArgv: ['--expose-gc', '--import', 'tsx'] })
  return {
    tell: command => void child.send(command as object),
    async hear(kind) {
      const gone = once(child, 'exit').then(([code]) => {
        throw new Error(`${file} ended with ${code} before it said "${kind}".`)
      })
      // Only heard while somebody waits; the end of a child that has served is expected.
      gone.catch(() => {})
      for (;;) {
        const [report] = (await Promise.race([once(child, 'message'), gone])) as [Report]
        if (report.is === kind) return report as Extract<Report, { is: typeof kind }>
      }
    },
    async [Symbol.asyncDispose]() {
      child.kill()
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    },
  }
}
