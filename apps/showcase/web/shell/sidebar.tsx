import type { ReactNode } from 'react'
import { AssistantIcon, ChatIcon, SluiceMark } from '../icons.tsx'
import { Link } from '../link.tsx'
import type { Place } from '../place.ts'
import { Identity } from './identity.tsx'

interface Area {
  readonly label: string
  readonly icon: ReactNode
  readonly start: Place
}

/** The areas of the showcase, in the order of the navigation. */
const areas: readonly Area[] = [
  { label: 'Chat', icon: <ChatIcon />, start: { area: 'chat', room: 'general' } },
  { label: 'Assistant', icon: <AssistantIcon />, start: { area: 'assistant', conversation: null } },
]

export function Sidebar({ place, children }: { readonly place: Place; readonly children: ReactNode }) {
  return (
    <div className="sidebar">
      <Link to={{ area: 'chat', room: 'general' }} className="brand" title="Sluice: streams that survive">
        <SluiceMark />
        <span className="brand-name">Sluice</span>
      </Link>
      <nav className="nav" aria-label="Areas">
        <ul>
          {areas.map(({ label, icon, start }) => (
            <li key={label}>
              <Link to={start} className="nav-link" current={place.area === start.area}>
                {icon}
                {label}
              </Link>
            </li>
          ))}
        </ul>
      </nav>
      {children}
      <Identity />
    </div>
  )
}
