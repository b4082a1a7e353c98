/** What the embedded endpoint understands of OpenAI's chat-completions request. What it does not, it refuses. */
import { z } from 'zod'

const Part = z.object({ type: z.literal('text'), text: z.string() })

const Message = z.object({
  role: z.enum(['system', 'developer', 'user', 'assistant']),
  content: z.union([z.string(), z.array(Part)]),
})

export const ChatRequest = z.object({
  model: z.string().min(1),
  messages: z.array(Message).min(1),
  stream: z.boolean().nullish(),
  stream_options: z.object({ include_usage: z.boolean().optional() }).nullish(),
  max_tokens: z.int().positive().nullish(),
  max_completion_tokens: z.int().positive().nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  seed: z.int().nullish(),
  n: z.literal(1, 'This model gives one answer at a time: n must be 1.').nullish(),
})

export type ChatRequest = z.infer<typeof ChatRequest>

/** The last thing that the user said: what the answer should be about. */
export function questionOf({ messages }: ChatRequest): string {
  const content = messages.findLast(message => message.role === 'user')?.content ?? ''
  return typeof content === 'string' ? content : content.map(part => part.text).join('\n')
}
