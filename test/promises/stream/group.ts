import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const script = fileURLToPath(new URL('node.ts', import.meta.url))

/** Two server processes on one folder. */
export async function startGroup(folder: string) {
  const children = [1, 2].map(() =>
    spawn(process.execPath, ['--import', 'tsx', script, folder], { stdio: ['ignore', 'pipe', 'inherit'] }),
  )
  const ports = await Promise.all(
    children.map(async ({ stdout }) => {
      const [line] = (await once(stdout.setEncoding('utf8'), 'data')) as [string]
      return Number(line)
    }),
  )
  return {
    ports,
    async [Symbol.asyncDispose]() {
      const ended = children.map(child => once(child, 'close'))
      for (const child of children) child.kill('SIGKILL')
      await Promise.all(ended)
    },
  }
}
