/**
 * The text of a stream of events → events, however it is cut into pieces. Fields other than `data`, `event` and `id`
 * are let pass, `retry` among them: when to come back is decided elsewhere. An id is that of its own event, and does
 * not stay for those after it. https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
 */

/** An event of `text/event-stream`. */
export interface StreamEvent {
  readonly event?: string | undefined
  readonly id?: string | undefined
  readonly data: string
}

/** Returns what takes the next piece of the text, as a `TextDecoder` gives it. */
export function createEventParser(onEvent: (event: StreamEvent) => void): (text: string) => void {
  /** The pieces of a line that has not ended. Joined once: a long one may come in many. */
  let pieces: string[] = []
  let afterReturn = false
  let event: string | undefined
  let id: string | undefined
  let data: string | undefined

  const take = (line: string) => {
    const colon = line.indexOf(':')
    const name = colon === -1 ? line : line.slice(0, colon)
    const value = colon === -1 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1)
    if (name === 'data') data = data === undefined ? value : `${data}\n${value}`
    else if (name === 'event') event = value || undefined
    else if (name === 'id' && !value.includes('\0')) id = value
  }

  const dispatch = () => {
    const ready = data === undefined ? null : { event, id, data }
    event = id = data = undefined
    if (ready) onEvent(ready)
  }

  return text => {
    // The second half of a line end that was cut in two.
    const rest = afterReturn && text.startsWith('\n') ? text.slice(1) : text
    if (text !== '') afterReturn = text.endsWith('\r')
    const lines = rest.includes('\r') ? rest.split(/\r\n|\r|\n/) : rest.split('\n')
    for (const [index, line] of lines.entries()) {
      pieces.push(line)
      if (index === lines.length - 1) return
      const whole = pieces.length === 1 ? line : pieces.join('')
      pieces = []
      if (whole === '') dispatch()
      else take(whole)
    }
  }
}
