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
  const exit = once(child, 'exit')
  const gone = exit.then(([code]) => {
    throw new Error(`${file} ended with ${code} while something was expected of it.`)
  })
  // Only of interest while somebody waits: the end of a child that has served is expected.
  gone.catch(() => {})
  return {
    tell: command => void child.send(command as object),
    hear(kind) {
      const heard = new Promise<Report>(resolve => {
        const onMessage = (report: Report) => {
          if (report.is !== kind) return
          child.off('message', onMessage)
          resolve(report)
        }
        child.on('message', onMessage)
      })
      return Promise.race([heard, gone]) as Promise<Extract<Report, { is: typeof kind }>>
    },
    async [Symbol.asyncDispose]() {
      child.kill()
      await exit
    },
  }
}
