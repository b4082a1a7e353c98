import { useStream } from 'trpc-sluice/react'
import { libraryFold } from '../../shared/folds.ts'
import { client } from '../api.tsx'
import { PlusIcon } from '../icons.tsx'
import { Link } from '../link.tsx'

export function ConversationList({ current }: { readonly current: string | null }) {
  const { state: conversations } = useStream(client.assistant.onLibrary, {}, { fold: libraryFold })
  return (
    <div className="list">
      <div className="list-head">
        <h2>Conversations</h2>
        <Link to={{ area: 'assistant', conversation: null }} className="icon-button" title="New conversation">
          <PlusIcon />
          <span className="visually-hidden">New conversation</span>
        </Link>
      </div>
      <nav className="list-items" aria-label="Conversations">
        {conversations.length === 0 && <p className="list-empty">None yet</p>}
        <ul>
          {conversations.map(({ id, title, by }) => (
            <li key={id}>
              <Link
                to={{ area: 'assistant', conversation: id }}
                className="list-link"
                current={id === current}
                title={`${title} (asked by ${by})`}
              >
                <span>{title}</span>
              </Link>
            </li>
          ))}
        </ul>
      </nav>
    </div>
  )
}
