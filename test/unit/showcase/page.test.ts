import { describe, expect, test } from 'vitest'
import { toBlocks } from '../../../apps/showcase/web/assistant/markdown.ts'
import { toTimeline } from '../../../apps/showcase/web/chat/timeline.ts'
import { toPath, toPlace } from '../../../apps/showcase/web/place.ts'

describe('the timeline of a room', () => {
  const at = (text: string) => new Date(text).getTime()
  const say = (author: string, time: string) => ({ author, sentAt: at(time) })
  const shape = (messages: ReturnType<typeof say>[]) =>
    toTimeline(messages).map(day => day.posts.map(post => `${post.author} ${post.messages.length}`))

  test('joins what one person says in a row', () => {
    const messages = [
      say('a', '2026-01-01T10:00'),
      say('a', '2026-01-01T10:01'),
      say('b', '2026-01-01T10:02'),
    ]
    expect(shape(messages)).toEqual([['a 2', 'b 1']])
  })

  test('begins a new post after a pause', () => {
    expect(shape([say('a', '2026-01-01T10:00'), say('a', '2026-01-01T10:06')])).toEqual([['a 1', 'a 1']])
  })

  test('begins a new day at midnight', () => {
    expect(shape([say('a', '2026-01-01T23:59'), say('a', '2026-01-02T00:01')])).toEqual([['a 1'], ['a 1']])
  })
})

describe('what a model writes', () => {
  const kinds = (markdown: string) => toBlocks(markdown).map(block => block.kind)
  const spans = (markdown: string) => {
    const [block] = toBlocks(markdown)
    return block?.kind === 'paragraph' ? block.text.map(({ kind, text }) => [kind, text]) : block
  }

  test('is laid out as headings, paragraphs, lists and code', () => {
    const markdown = '# Title\nIntro:\n- one\n- two\n\n1. first\n2. second\n\n```js\nlet a = 1\n```\nEnd.'
    expect(kinds(markdown)).toEqual(['heading', 'paragraph', 'list', 'list', 'code', 'paragraph'])
    expect(toBlocks(markdown)[4]).toEqual({ kind: 'code', text: 'let a = 1' })
  })

  test('looks right while it is unfinished', () => {
    expect(kinds('Look:\n\n```js\nlet a')).toEqual(['paragraph', 'code'])
    expect(spans('a `b')).toEqual([['text', 'a `b']])
    expect(spans('a **b')).toEqual([['text', 'a **b']])
    expect(toBlocks('')).toEqual([])
  })

  test('has code, strong and emphasised words, and leaves names with underscores alone', () => {
    expect(spans('a `b_c` **d** *e* _f_ g_h_i')).toEqual([
      ['text', 'a '],
      ['code', 'b_c'],
      ['text', ' '],
      ['strong', 'd'],
      ['text', ' '],
      ['emphasis', 'e'],
      ['text', ' '],
      ['emphasis', 'f'],
      ['text', ' g_h_i'],
    ])
  })

  test('loses no character of a text without marks', () => {
    const text = '3 * 4 = 12, snake_case, <b>not HTML</b> & more'
    expect(spans(text)).toEqual([['text', text]])
  })
})

describe('an address', () => {
  test('leads to its place and back', () => {
    const id = '0b0e7e3a-7c3d-4a53-9a5e-0d5b7f8f1a11'
    for (const path of ['/chat/general', '/chat/a-room', '/assistant', `/assistant/${id}`]) {
      expect(toPath(toPlace(path))).toBe(path)
    }
  })

  test('that leads nowhere leads home', () => {
    for (const path of ['/', '/chat', '/chat/NO', '/chat/<script>', '/elsewhere']) {
      expect(toPlace(path)).toEqual({ area: 'chat', room: 'general' })
    }
    expect(toPlace('/assistant/no-uuid')).toEqual({ area: 'assistant', conversation: null })
  })
})
