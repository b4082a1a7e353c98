import { useId, useState, type FormEvent } from 'react'
import { useStream } from 'trpc-sluice/react'
import { lobbyFold } from '../../shared/folds.ts'
import { RoomId } from '../../shared/schemas.ts'
import { client, trpc } from '../api.tsx'
import { PlusIcon } from '../icons.tsx'
import { useName } from '../identity.ts'
import { Link } from '../link.tsx'
import { goTo } from '../place.ts'

export function RoomList({ current }: { readonly current: string }) {
  const { state: known } = useStream(client.chat.onLobby, {}, { fold: lobbyFold })
  const [opening, setOpening] = useState(false)
  // An address may lead to a room that nobody has opened yet: it is a room like any other.
  const rooms = known.includes(current) ? known : [...known, current]
  return (
    <div className="list">
      <div className="list-head">
        <h2>Rooms</h2>
        <button
          type="button"
          className="icon-button"
          aria-label="Open a new room"
          title="Open a new room"
          aria-expanded={opening}
          onClick={() => setOpening(!opening)}
        >
          <PlusIcon />
        </button>
      </div>
      {opening && <NewRoom onDone={() => setOpening(false)} />}
      <nav className="list-items" aria-label="Rooms">
        <ul>
          {rooms.map(room => (
            <li key={room}>
              <Link to={{ area: 'chat', room }} className="list-link" current={room === current}>
                <span className="hash" aria-hidden="true">
                  #
                </span>
                <span>{room}</span>
              </Link>
            </li>
          ))}
        </ul>
      </nav>
    </div>
  )
}

function NewRoom({ onDone }: { readonly onDone: () => void }) {
  const id = useId()
  const by = useName()
  const [text, setText] = useState('')
  const open = trpc.chat.open.useMutation()
  const room = RoomId.safeParse(text.trim().toLowerCase().replaceAll(/\s+/g, '-'))
  const problem = text.trim() !== '' && !room.success ? room.error.issues[0]?.message : open.error?.message

  const submit = (event: FormEvent) => {
    event.preventDefault()
    if (!room.success) return
    open.mutate(
      { room: room.data, by },
      {
        onSuccess: () => {
          goTo({ area: 'chat', room: room.data })
          onDone()
        },
      },
    )
  }
  return (
    <form onSubmit={submit}>
      <div className="inline-form">
        <input
          className="text-input"
          aria-label="Name of the new room"
          aria-describedby={id}
          placeholder="name-of-the-room"
          value={text}
          maxLength={32}
          // The field appears because somebody asked for it.
          // oxlint-disable-next-line jsx-a11y/no-autofocus
          autoFocus
          onChange={event => setText(event.target.value)}
          onKeyDown={event => event.key === 'Escape' && onDone()}
        />
        <button type="submit" className="button" disabled={!room.success || open.isPending}>
          Open
        </button>
      </div>
      <p id={id} role="alert" className={problem ? 'form-error' : 'visually-hidden'}>
        {problem}
      </p>
    </form>
  )
}
