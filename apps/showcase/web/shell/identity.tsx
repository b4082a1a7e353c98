import { useId, useState, type KeyboardEvent } from 'react'
import { maxNameLength, setName, useName } from '../identity.ts'

export function Identity() {
  const name = useName()
  // A name that was changed elsewhere begins a new draft.
  return <NameField key={name} name={name} />
}

function NameField({ name }: { readonly name: string }) {
  const id = useId()
  const [draft, setDraft] = useState(name)
  const keep = () => {
    if (draft.trim() === '') setDraft(name)
    else setName(draft)
  }
  const onKeyDown = (event: KeyboardEvent<HTMLInputElement>) => {
    if (event.key === 'Enter') keep()
    if (event.key === 'Escape') setDraft(name)
  }
  return (
    <div className="identity">
      <label htmlFor={id}>You are</label>
      <input
        id={id}
        className="text-input"
        value={draft}
        maxLength={maxNameLength}
        autoComplete="nickname"
        spellCheck={false}
        onChange={event => setDraft(event.target.value)}
        onBlur={keep}
        onKeyDown={onKeyDown}
      />
    </div>
  )
}
