/** The real showcase: its page built, its server a child process that can be stopped, killed and started again. */
import { createTRPCClient } from '@trpc/client'
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import superjson from 'superjson'
import { sluiceLink } from 'trpc-sluice/client'
import type { AppRouter } from '../../../apps/showcase/server/router.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))

export interface ShowcaseOptions {
  /** Added to the environment of the server. */
  readonly env?: Readonly<Record<string, string>>
}

/** Builds the page and starts the server, in folders of its own that go with it. */
export async function startShowcase({ env = {} }: ShowcaseOptions = {}): Promise<Showcase> {
  const home = await mkdtemp(join(tmpdir(), 'sluice-showcase-'))
  const webRoot = join(home, 'web')
  await buildPage(webRoot)
  // The port stays the same over restarts, as it does in real life.
  const port = await freePort()
  const showcase = new Showcase(home, port, {
    ...withoutModel(process.env),
    DATA_DIR: join(home, 'data'),
    WEB_ROOT: webRoot,
    PORT: String(port),
    ...env,
  })
  await showcase.start()
  return showcase
}

export class Showcase implements AsyncDisposable {
  readonly #home: string
  readonly #env: NodeJS.ProcessEnv
  #server: ChildProcess | null = null

  constructor(
    home: string,
    readonly port: number,
    env: NodeJS.ProcessEnv,
  ) {
    this.#home = home
    this.#env = env
  }

  url(path = '/'): string {
    return `http://127.0.0.1:${this.port}${path}`
  }

  /** Starts the server; settles when it listens. */
  async start(): Promise<void> {
    const server = spawn(process.execPath, ['--import', 'tsx', 'apps/showcase/server/main.ts'], {
      cwd: root,
      env: this.#env,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#server = server
    const said: string[] = []
    createInterface({ input: server.stderr }).on('line', line => said.push(line))
    const lines = createInterface({ input: server.stdout })
    await new Promise<void>((resolve, reject) => {
      lines.on('line', line => {
        said.push(line)
        if (line.includes('http://')) resolve()
      })
      server.once('exit', code => reject(new Error(`The showcase ended with ${code}:\n${said.join('\n')}`)))
    })
  }

  /** Ends the server as a crash would: with no chance to say goodbye. */
  kill(): Promise<void> {
    return this.#end('SIGKILL')
  }

  /** Asks the server to end. */
  stop(): Promise<void> {
    return this.#end('SIGTERM')
  }

  /** Loses all data, as somebody does who empties the folder of a server that does not run. */
  async wipe(): Promise<void> {
    await rm(join(this.#home, 'data'), { recursive: true })
  }

  /** A client of the server in this process, past all browsers and proxies. */
  connect() {
    const link = sluiceLink<AppRouter>({ url: this.url('/trpc'), transformer: superjson, transport: 'sse' })
    const client = createTRPCClient<AppRouter>({ links: [link] })
    return { client, [Symbol.dispose]: () => link.close() }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
    await rm(this.#home, { recursive: true, force: true })
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const server = this.#server
    this.#server = null
    if (!server || server.exitCode !== null) return
    const exited = once(server, 'exit')
    server.kill(signal)
    await exited
  }
}

/** Whatever endpoint this machine is set up for, a test says itself whom it talks to. */
function withoutModel({
  OPENAI_BASE_URL: _url,
  OPENAI_API_KEY: _key,
  ...env
}: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return env
}

/** As `npm start` does it: in a process of its own, since a test's NODE_ENV would give the page another React. */
async function buildPage(outDir: string): Promise<void> {
  const vite = join(root, 'node_modules/vite/bin/vite.js')
  const env = { ...process.env, NODE_ENV: 'production' }
  await promisify(execFile)(process.execPath, [vite, 'build', 'apps/showcase', '--outDir', outDir], {
    cwd: root,
    env,
  })
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
