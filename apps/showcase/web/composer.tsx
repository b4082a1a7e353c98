import { useImperativeHandle, useRef, useState, type KeyboardEvent, type Ref } from 'react'
import { SendIcon, StopIcon } from './icons.tsx'

export interface ComposerHandle {
  focus(): void
}

interface ComposerProps {
  readonly label: string
  readonly placeholder: string
  readonly onSend: (text: string) => void
  /** While there is something to stop, the button stops it and nothing can be sent. */
  readonly onStop?: (() => void) | undefined
  readonly ref?: Ref<ComposerHandle>
}

const maxLength = 4000

/** Enter sends, Shift+Enter makes a new line. */
export function Composer({ label, placeholder, onSend, onStop, ref }: ComposerProps) {
  const [text, setText] = useState('')
  const field = useRef<HTMLTextAreaElement>(null)
  useImperativeHandle(ref, () => ({ focus: () => field.current?.focus() }), [])
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
