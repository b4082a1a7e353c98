import { Scope } from 'trpc-sluice/shared'
import { loadProgram } from '../../support/program.ts'

const program = await loadProgram(new URL('node.ts', import.meta.url))

/** Two server processes on one folder. */
export async function startGroup(folder: string) {
  const scope = new Scope()
  const servers = [1, 2].map(() => scope.use(program.start(folder)))
  const ports = await Promise.all(servers.map(server => server.port()))
  return { ports, [Symbol.asyncDispose]: () => scope.close() }
}
