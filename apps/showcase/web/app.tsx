import { useEffect } from 'react'
import { AssistantPage } from './assistant/assistant-page.tsx'
import { ConversationList } from './assistant/conversation-list.tsx'
import { ChatPage } from './chat/chat-page.tsx'
import { RoomList } from './chat/room-list.tsx'
import { usePlace } from './place.ts'
import { Sidebar } from './shell/sidebar.tsx'

export function App() {
  const place = usePlace()
  const title = place.area === 'chat' ? `#${place.room}` : 'Assistant'
  useEffect(() => {
    document.title = `${title} · Sluice`
  }, [title])

  return (
    <div className="shell">
      <a href="#main" className="skip-link visually-hidden">
        Skip to content
      </a>
      <Sidebar place={place}>
        {place.area === 'chat' ? (
          <RoomList current={place.room} />
        ) : (
          <ConversationList current={place.conversation} />
        )}
      </Sidebar>
      <main id="main" className="main" tabIndex={-1}>
        {place.area === 'chat' ? (
          <ChatPage key={place.room} room={place.room} />
        ) : (
          <AssistantPage conversation={place.conversation} />
        )}
      </main>
    </div>
  )
}
