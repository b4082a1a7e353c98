import type { MouseEvent, ReactNode } from 'react'
import { goTo, toPath, type Place } from './place.ts'

interface LinkProps {
  readonly to: Place
  readonly className: string
  readonly current?: boolean
  readonly title?: string
  readonly children: ReactNode
}

/** A link within the app: a real one, so that it can be opened in another tab, but without loading the page anew. */
export function Link({ to, className, current = false, title, children }: LinkProps) {
  const follow = (event: MouseEvent) => {
    const elsewhere = event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || event.button !== 0
    if (elsewhere) return
    event.preventDefault()
    goTo(to)
  }
  return (
    <a
      href={toPath(to)}
      className={className}
      title={title}
      aria-current={current ? 'page' : undefined}
      onClick={follow}
    >
      {children}
    </a>
  )
}
