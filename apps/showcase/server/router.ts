import type { Store } from 'trpc-sluice/server'
import { createAssistant, type Model } from './assistant.ts'
import { createChat } from './chat.ts'
import { router } from './trpc.ts'

export function createAppRouter(store: Store, model: Model) {
  return router({
    chat: createChat(store),
    assistant: createAssistant(store, model),
  })
}

export type AppRouter = ReturnType<typeof createAppRouter>
