/** What a page loads, in bytes as they travel: minified by the bundler, and gzipped. */
import { gzipSync } from 'node:zlib'
import { build, type Rolldown, type UserConfig } from 'vite'

export interface Bundle {
  /** With the page. */
  readonly first: number
  /** What `import()` brings when it is needed, by the name of its module; of what two of them share, each has all. */
  readonly later: Readonly<Record<string, number>>
  /** The files whose code is in any of it. */
  readonly modules: readonly string[]
}

/** Bundles a file for browsers. */
export async function bundle(entry: string, resolve: UserConfig['resolve']): Promise<Bundle> {
  const built = await build({
    configFile: false,
    logLevel: 'warn',
    resolve,
    build: {
      write: false,
      // A library: an application's bundle has a helper of Vite's beside it, which is nobody's here.
      lib: { entry, formats: ['es'] },
      rolldownOptions: { preserveEntrySignatures: 'allow-extension', output: { minify: true } },
    },
  })
  // One format and no watching give one output.
  const [{ output }] = built as [Rolldown.RolldownOutput]
  const chunks = new Map(output.flatMap(chunk => (chunk.type === 'chunk' ? [[chunk.fileName, chunk]] : [])))

  /** A chunk with all that it imports at once, but for what is there already. */
  const loadedWith = (fileName: string, there: ReadonlySet<string>): Set<string> => {
    const loaded = new Set<string>()
    const load = (name: string) => {
      if (there.has(name) || loaded.has(name)) return
      loaded.add(name)
      for (const other of chunks.get(name)?.imports ?? []) load(other)
    }
    load(fileName)
    return loaded
  }
  const sizeOf = (fileNames: Iterable<string>) =>
    gzipSync(Array.from(fileNames, name => chunks.get(name)?.code ?? '').join(''), { level: 9 }).length

  const named = [...chunks.values()]
  const first = new Set(
    named.filter(({ isEntry }) => isEntry).flatMap(one => [...loadedWith(one.fileName, new Set())]),
  )
  const later = named.filter(({ isDynamicEntry }) => isDynamicEntry)
  return {
    first: sizeOf(first),
    later: Object.fromEntries(later.map(({ name, fileName }) => [name, sizeOf(loadedWith(fileName, first))])),
    modules: named.flatMap(({ modules }) =>
      Object.entries(modules).flatMap(([id, { renderedLength }]) => (renderedLength > 0 ? [id] : [])),
    ),
  }
}
