import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import 'trpc-sluice/shared'

/** Longer than the slowest tick of the slowest peer: what takes longer is stuck. */
const patienceMs = 90_000

/** A child process with typed messages both ways; ended with its block. */
export interface Child<Command, Report extends { readonly is: string }> extends AsyncDisposable {
  tell(command: Command): void
  /** The next report of a kind; rejects when the child ends before, or stays silent. */
  hear<Kind extends Report['is']>(kind: Kind): Promise<Extract<Report, { is: Kind }>>
  ask<Kind extends Report['is']>(command: Command, kind: Kind): Promise<Extract<Report, { is: Kind }>>
}

export interface ChildOptions {
  readonly args?: readonly string[]
  /** Flags of Node. */
  readonly flags?: readonly string[]
}

export function startChild<Command, Report extends { readonly is: string }>(
  file: string,
  { args = [], flags = [] }: ChildOptions = {},
): Child<Command, Report> {
  const path = fileURLToPath(new URL(file, import.meta.url))
  const tsconfig = fileURLToPath(new URL('../tsconfig.json', import.meta.url))
  const child = fork(path, args, {
    execArgv: ['--expose-gc', ...flags, '--import', 'tsx'],
    env: { ...process.env, NODE_ENV: 'production', TSX_TSCONFIG_PATH: tsconfig },
  })
  const exit = once(child, 'exit')
  const gone = exit.then(([code]) => {
    throw new Error(`${file} ${args.join(' ')} ended with ${code} while something was expected of it.`)
  })
  // Only of interest while somebody waits: the end of a child that has served is expected.
  gone.catch(() => {})

  const tell = (command: Command) => void child.send(command as object)
  const hear = <Kind extends Report['is']>(kind: Kind) => {
    const heard = new Promise<Extract<Report, { is: Kind }>>((resolve, reject) => {
      const settle = () => {
        clearTimeout(timer)
        child.off('message', onMessage)
      }
      const onMessage = (report: Report) => {
        if (report.is !== kind) return
        settle()
        resolve(report as Extract<Report, { is: Kind }>)
      }
      const timer = setTimeout(() => {
        settle()
        reject(new Error(`${file} ${args.join(' ')} has not said "${kind}" within ${patienceMs} ms.`))
      }, patienceMs)
      child.on('message', onMessage)
    })
    return Promise.race([heard, gone])
  }
  return {
    tell,
    hear,
    ask(command, kind) {
      const heard = hear(kind)
      tell(command)
      return heard
    },
    async [Symbol.asyncDispose]() {
      // It ends by itself then, and so has the time to write a profile.
      if (child.connected) child.disconnect()
      const timer = setTimeout(() => child.kill('SIGKILL'), 10_000)
      await exit
      clearTimeout(timer)
    },
  }
}
