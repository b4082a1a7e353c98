import type { CSSProperties } from 'react'

/** Initials on a colour of their own: the same for the same name everywhere. */
export function Avatar({ name }: { readonly name: string }) {
  const initials = name
    .split(/\s+/)
    .slice(0, 2)
    .map(word => Array.from(word)[0] ?? '')
    .join('')
    .toLocaleUpperCase()
  return (
    <span className="avatar" style={{ '--hue': hueOf(name) } as CSSProperties} aria-hidden="true">
      {initials}
    </span>
  )
}

function hueOf(name: string): number {
  let hash = 0
  for (const character of name) hash = (hash * 31 + (character.codePointAt(0) ?? 0)) % 9973
  return (hash * 137) % 360
}
