import { memo, useMemo, type ReactNode } from 'react'
import { toBlocks, type Block, type Span } from './markdown.ts'

/** What the model wrote, laid out. Nothing in it is ever taken for HTML. */
export const Prose = memo(function Prose({
  text,
  streaming,
}: {
  readonly text: string
  readonly streaming: boolean
}) {
  const blocks = useMemo(() => toBlocks(text), [text])
  return (
    <div className="prose" data-streaming={streaming}>
      {/* Blocks only ever grow at the end, so their number is as good a key as any. */}
      {blocks.map((block, i) => (
        <BlockView key={i} block={block} />
      ))}
    </div>
  )
})

function BlockView({ block }: { readonly block: Block }) {
  switch (block.kind) {
    case 'code':
      return (
        <pre>
          <code>{block.text}</code>
        </pre>
      )
    case 'heading':
      return <h3>{toNodes(block.text)}</h3>
    case 'paragraph':
      return <p>{toNodes(block.text)}</p>
    case 'list': {
      const items = block.items.map((item, i) => <li key={i}>{toNodes(item)}</li>)
      return block.ordered ? <ol>{items}</ol> : <ul>{items}</ul>
    }
    default:
      return block satisfies never
  }
}

function toNodes(spans: readonly Span[]): ReactNode[] {
  return spans.map(({ kind, text }, i) => {
    if (kind === 'code') return <code key={i}>{text}</code>
    if (kind === 'strong') return <strong key={i}>{text}</strong>
    if (kind === 'emphasis') return <em key={i}>{text}</em>
    return text
  })
}
