import type { ReactNode } from 'react'
import { ConnectionBadge } from './connection-badge.tsx'

export function PageHead({ title, children }: { readonly title: string; readonly children: ReactNode }) {
  return (
    <header className="page-head">
      <div>
        <h1>{title}</h1>
        <p>{children}</p>
      </div>
      <ConnectionBadge />
    </header>
  )
}
