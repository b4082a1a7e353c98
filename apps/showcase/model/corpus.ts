/**
 * The text that the embedded model learns from: the documentation of Node.js, as `@types/node` (MIT) carries it in
 * its comments. It is installed anyway, it is English prose, and it is about what visitors of this page ask about.
 *
 * A passage is one paragraph. Code blocks, tags and tables are left out; what is left reads like a manual.
 */
import { readdir, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'

export interface Passage {
  /** What the text is about: the module that it documents, for example `stream`. */
  readonly about: string
  readonly text: string
}

/** What the page says about where the model's words come from. */
export const corpusTitle = 'the Node.js documentation in @types/node'

export async function readCorpus(): Promise<Passage[]> {
  const home = dirname(createRequire(import.meta.url).resolve('@types/node/package.json'))
  const names = await readdir(home, { recursive: true })
  // Sorted, so that the same seed gives the same answer on every machine.
  const declarations = names.filter(name => name.endsWith('.d.ts')).sort()
  const files = await Promise.all(
    declarations.map(async name => ({
      about: basename(name, '.d.ts'),
      source: await readFile(join(home, name), 'utf8'),
    })),
  )
  const seen = new Set<string>()
  return files
    .flatMap(({ about, source }) => toPassages(source).map(text => ({ about, text })))
    .filter(({ text }) => !seen.has(text) && seen.add(text))
}

/** The paragraphs of all doc comments in a TypeScript source. */
export function toPassages(source: string): string[] {
  const comments = Array.from(source.matchAll(/\/\*\*([\s\S]*?)\*\//g), match => toMarkdown(match[1] ?? ''))
  return comments.flatMap(toParagraphs)
}

function toMarkdown(comment: string): string {
  return comment
    .replace(/^[ \t]*\* ?/gm, '')
    .replace(/```[\s\S]*?(```|$)/g, '\n\n')
    .replace(/^@[\s\S]*/m, '') // tags come last: what follows the first one describes parameters and versions
}

function toParagraphs(markdown: string): string[] {
  return markdown
    .split(/\n\s*\n|\n(?=\s*[-*#|>] )/)
    .map(toPlainText)
    .filter(text => /^[A-Z`]/.test(text) && /[.!?]$/.test(text) && text.split(' ').length >= 8)
}

function toPlainText(paragraph: string): string {
  return paragraph
    .replace(/\{@link(?:code|plain)? ([^}|\s]+)(?:[|\s]([^}]*))?\}/g, (_, target: string, label?: string) =>
      (label ?? target).trim(),
    )
    .replace(/!?\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])/g, '$1')
    .replace(/<[^>]+>/g, '')
    .replace(/^\s*[-*#>]+ /, '')
    .replace(/\*\*|__/g, '')
    .replace(/\s+/g, ' ')
    .trim()
}
