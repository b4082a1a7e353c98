/** What the environment says about how to run. */
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface Settings {
  /** Where the logs are kept. */
  readonly dataDir: string
  readonly host: string
  readonly port: number
  /** Whether another port will do when this one is taken: not if somebody asked for it. */
  readonly anyPort: boolean
  /** The built page. */
  readonly webRoot: string
  /** `null`: the embedded model. */
  readonly endpoint: { readonly baseURL: string; readonly apiKey: string; readonly model: string } | null
}

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))

/** @throws Error that says which variable is wrong, and what it may be. */
export function readSettings(env: NodeJS.ProcessEnv): Settings {
  return {
    dataDir: env.DATA_DIR ? resolve(env.DATA_DIR) : here('../../../.data/showcase'),
    host: env.HOST || '127.0.0.1',
    port: env.PORT ? parsePort(env.PORT) : 3000,
    anyPort: !env.PORT,
    webRoot: env.WEB_ROOT ? resolve(env.WEB_ROOT) : here('../dist'),
    endpoint: readEndpoint(env),
  }
}

function parsePort(text: string): number {
  const port = Number(text)
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port
  throw new Error(`PORT is ${JSON.stringify(text)}; set it to a number from 0 to 65535.`)
}

function readEndpoint({
  OPENAI_BASE_URL,
  OPENAI_API_KEY,
  OPENAI_MODEL,
}: NodeJS.ProcessEnv): Settings['endpoint'] {
  if (!OPENAI_BASE_URL && !OPENAI_API_KEY) return null
  if (OPENAI_BASE_URL && !URL.canParse(OPENAI_BASE_URL)) {
    throw new Error(
      `OPENAI_BASE_URL is ${JSON.stringify(OPENAI_BASE_URL)}; set it to a URL like http://localhost:11434/v1.`,
    )
  }
  return {
    baseURL: OPENAI_BASE_URL || 'https://api.openai.com/v1',
    // Local servers want none, but the SDK insists on one.
    apiKey: OPENAI_API_KEY || 'none',
    model: OPENAI_MODEL || 'gpt-4o-mini',
  }
}
