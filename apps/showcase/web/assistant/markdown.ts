/**
 * The little Markdown that models write, as data: headings, lists, code, emphasis. It is parsed anew for each piece
 * that arrives, so anything unfinished must already look right: an open code block is a code block.
 */

export type Block =
  | { readonly kind: 'paragraph' | 'heading'; readonly text: readonly Span[] }
  | { readonly kind: 'list'; readonly ordered: boolean; readonly items: readonly (readonly Span[])[] }
  | { readonly kind: 'code'; readonly text: string }

export interface Span {
  readonly kind: 'text' | 'code' | 'strong' | 'emphasis'
  readonly text: string
}

export function toBlocks(markdown: string): Block[] {
  return markdown.split(/^```.*$/m).flatMap((part, i) =>
    // Between the first fence and the second there is code, then text again, and so on.
    i % 2 === 1 ? [{ kind: 'code' as const, text: part.replace(/^\n|\n$/g, '') }] : toTextBlocks(part),
  )
}

const bullet = /^\s*[-*+]\s+/
const number = /^\s*\d+[.)]\s+/
const heading = /^\s*#{1,6}\s+/

function toTextBlocks(text: string): Block[] {
  return text
    .split(/\n\s*\n|\n(?=\s*#{1,6}\s)/)
    .filter(block => block.trim() !== '')
    .flatMap(toTextBlock)
}

function toTextBlock(text: string): Block[] {
  const lines = text.trim().split('\n')
  const first = lines[0] ?? ''
  if (heading.test(first)) {
    const rest = lines.slice(1).join('\n')
    return [
      { kind: 'heading', text: toSpans(first.replace(heading, '')) },
      ...(rest.trim() === '' ? [] : toTextBlock(rest)),
    ]
  }
  const marker = [bullet, number].find(pattern => pattern.test(first))
  if (!marker) {
    // A list often follows its introduction without a blank line.
    const listAt = lines.findIndex(line => bullet.test(line) || number.test(line))
    if (listAt < 1) return [{ kind: 'paragraph', text: toSpans(lines.join('\n')) }]
    return [
      { kind: 'paragraph', text: toSpans(lines.slice(0, listAt).join('\n')) },
      ...toTextBlock(lines.slice(listAt).join('\n')),
    ]
  }
  const items: string[] = []
  for (const line of lines) {
    if (marker.test(line)) items.push(line.replace(marker, ''))
    else items.push(`${items.pop() ?? ''} ${line.trim()}`)
  }
  return [{ kind: 'list', ordered: marker === number, items: items.map(toSpans) }]
}

// In turn: code, strong, and emphasis that does not begin or end inside a word (as in snake_case_names).
const spanPattern = /`([^`]+)`|\*\*(.+?)\*\*|(?<![\w*])[*_](?![\s*_])([^*_]+?)(?<!\s)[*_](?![\w*])/gs

function toSpans(text: string): Span[] {
  const spans: Span[] = []
  let end = 0
  for (const match of text.matchAll(spanPattern)) {
    if (match.index > end) spans.push({ kind: 'text', text: text.slice(end, match.index) })
    const [whole, code, strong, emphasis] = match
    if (code !== undefined) spans.push({ kind: 'code', text: code })
    else if (strong !== undefined) spans.push({ kind: 'strong', text: strong })
    else spans.push({ kind: 'emphasis', text: emphasis ?? whole })
    end = match.index + whole.length
  }
  if (end < text.length) spans.push({ kind: 'text', text: text.slice(end) })
  return spans
}
