import { useEffect, useRef, useState, type ReactNode } from 'react'
import { DownIcon } from './icons.tsx'

interface ScrollLogProps {
  readonly label: string
  /** True while the newest entry is still being written: it is read out when it is complete. */
  readonly busy?: boolean
  /** Called when the reader nears the oldest entry; left out when there is nothing older. */
  readonly onOlder?: (() => void) | undefined
  /** Where a log that does not fill the page begins. */
  readonly align?: 'start' | 'end'
  readonly children: ReactNode
}

/**
 * A log that keeps its end in sight while it grows, unless the reader has scrolled away from it. The browser does
 * the work: in a reversed column, the end is where scrolling starts.
 */
export function ScrollLog({ label, busy = false, onOlder, align = 'end', children }: ScrollLogProps) {
  const area = useRef<HTMLDivElement>(null)
  const top = useRef<HTMLDivElement>(null)
  const [away, setAway] = useState(false)

  useEffect(() => {
    if (!onOlder || !top.current) return
    const observer = new IntersectionObserver(
      entries => entries.some(entry => entry.isIntersecting) && onOlder(),
      { root: area.current, rootMargin: '200px 0px 0px' },
    )
    observer.observe(top.current)
    return () => observer.disconnect()
  }, [onOlder])

  return (
    <div className="scroller">
      <div
        ref={area}
        className="scroll-area"
        // A log can be scrolled by keyboard only if it can be focused.
        tabIndex={0}
        role="log"
        aria-label={label}
        aria-busy={busy}
        onScroll={event => setAway(event.currentTarget.scrollTop < -120)}
      >
        <div className="column" data-align={align}>
          <div ref={top} />
          {children}
        </div>
      </div>
      {away && (
        <button
          type="button"
          className="button to-end"
          onClick={() => area.current?.scrollTo({ top: 0, behavior: 'smooth' })}
        >
          <DownIcon />
          Newest
        </button>
      )}
    </div>
  )
}
