import { useEffect, useRef, useState, type KeyboardEvent } from 'react'
import { SendIcon, StopIcon } from './icons.tsx'
import { hasMoved } from './place.ts'

interface ComposerProps {
  readonly label: string
  readonly placeholder: string
  readonly onSend: (text: string) => void
  /** While there is something to stop, the button stops it and nothing can be sent. */
  readonly onStop?: (() => void) | undefined
}

const maxLength = 4000

/** Enter sends, Shift+Enter makes a new line. */
export function Composer({ label, placeholder, onSend, onStop }: ComposerProps) {
  const [text, setText] = useState('')
  const field = useRef<HTMLTextAreaElement>(null)
  // Who goes to a room wants to write there. On a phone, that would bring up the keyboard over half of it.
  useEffect(() => {
    if (hasMoved() && matchMedia('(hover: hover)').matches) field.current?.focus()
  }, [])
  const blank = text.trim() === ''

  const send = () => {
    if (blank || onStop) return
    onSend(text.trim())
    setText('')
  }
  const onKeyDown = (event: KeyboardEvent) => {
    // While an input method composes a character, Enter belongs to it.
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return
    event.preventDefault()
    send()
  }
  return (
    <form
      className="composer"
      onSubmit={event => {
        event.preventDefault()
        send()
      }}
    >
      <textarea
        ref={field}
        rows={1}
        aria-label={label}
        placeholder={placeholder}
        value={text}
        maxLength={maxLength}
        enterKeyHint="send"
        onChange={event => setText(event.target.value)}
        onKeyDown={onKeyDown}
      />
      {onStop ? (
        <button type="button" className="composer-action" aria-label="Stop" title="Stop" onClick={onStop}>
          <StopIcon />
        </button>
      ) : (
        <button
          type="submit"
          className="composer-action"
          aria-label="Send"
          title="Send (Enter)"
          disabled={blank}
        >
          <SendIcon />
        </button>
      )}
    </form>
  )
}
