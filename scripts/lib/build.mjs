// Compiles the package to dist, and the showcase's page.
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { root, run, tool } from './run.mjs'
import { step, Stop } from './say.mjs'

/** @param outDir where to, relative to the root; whatever is there is removed. */
export async function buildPackage(outDir = 'dist') {
  await step(`Building the package to ${outDir}`, async () => {
    const dist = resolve(root, outDir)
    await rm(dist, { recursive: true, force: true })
    if ((await run(tool('tsc', '-p', 'tsconfig.build.json', '--outDir', dist))) !== 0) {
      throw new Stop('The package does not compile (see above).')
    }
    await rewriteDeclarations(dist)
  })
}

export async function buildShowcase() {
  await step("Building the showcase's page", async () => {
    if ((await run(tool('vite', 'build', 'apps/showcase', '--logLevel', 'warn'))) !== 0) {
      throw new Stop('The page does not build (see above).')
    }
  })
}

// TypeScript writes `./x.js` into the code and leaves `./x.ts` in the declarations beside it: a file that is not in
// the package. Consumers' compilers forgive that; tools that follow the imports do not.
const relativeImport = /((?:from|import)\s*\(?\s*['"]\.{1,2}\/[^'"]*)\.tsx?(?=['"])/g

async function rewriteDeclarations(dist) {
  const files = (await readdir(dist, { recursive: true })).filter(file => file.endsWith('.d.ts'))
  for (const file of files) {
    const path = join(dist, file)
    const text = await readFile(path, 'utf8')
    await writeFile(path, text.replaceAll(relativeImport, '$1.js'))
  }
}
