/** A page of test/browser/pages, as a browser takes it. */
import { fileURLToPath } from 'node:url'
import { build } from 'vite'

/** @param file of test/browser/pages. */
export async function bundle(file: string): Promise<string> {
  const built = await build({
    configFile: false,
    logLevel: 'silent',
    resolve: { tsconfigPaths: true },
    build: {
      write: false,
      lib: {
        entry: fileURLToPath(new URL(`../pages/${file}`, import.meta.url)),
        formats: ['es'],
        fileName: 'page',
      },
      // One file, also of what the link loads when it needs it.
      rolldownOptions: { output: { codeSplitting: false } },
    },
  })
  const [output] = Array.isArray(built) ? built : [built]
  const [chunk] = output && 'output' in output ? output.output : []
  if (!chunk) throw new Error(`Nothing was built of ${file}.`)
  return chunk.code
}

/** An empty page that runs a script. */
export function documentOf(script: string): string {
  return `<!doctype html><link rel="icon" href="data:,"><script type="module" src="${script}"></script>`
}
