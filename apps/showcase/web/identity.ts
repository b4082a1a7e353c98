/** The name by which this browser's person goes: made up at first, and theirs to change. */
import { useSyncExternalStore } from 'react'

const storageKey = 'sluice.name'
const changed = 'sluice:name'
export const maxNameLength = 32

let name: string | null = null

export function useName(): string {
  return useSyncExternalStore(onChange, currentName)
}

/** Blank text changes nothing: everybody has a name. */
export function setName(text: string): void {
  const trimmed = text.trim().slice(0, maxNameLength)
  if (trimmed === '') return
  name = trimmed
  try {
    localStorage.setItem(storageKey, trimmed)
  } catch {
    // Storage is switched off: the name lasts as long as the page.
  }
  window.dispatchEvent(new Event(changed))
}

function currentName(): string {
  if (name === null) {
    name = storedName() ?? madeUpName()
    setName(name)
  }
  return name
}

function storedName(): string | null {
  try {
    return localStorage.getItem(storageKey)
  } catch {
    return null // storage is switched off
  }
}

function madeUpName(): string {
  const pick = (words: readonly string[]) => words[Math.floor(Math.random() * words.length)] ?? ''
  return `${pick(['Amber', 'Brisk', 'Calm', 'Clear', 'Deep', 'Early', 'Merry', 'Quiet', 'Swift', 'Wild'])} ${pick(
    ['Beaver', 'Crane', 'Dipper', 'Heron', 'Kingfisher', 'Otter', 'Pike', 'Salmon', 'Swan', 'Trout'],
  )}`
}

function onChange(listener: () => void): () => void {
  const fromOtherTab = ({ key, newValue }: StorageEvent) => {
    if (key !== storageKey || newValue === null) return
    name = newValue
    listener()
  }
  window.addEventListener(changed, listener)
  window.addEventListener('storage', fromOtherTab)
  return () => {
    window.removeEventListener(changed, listener)
    window.removeEventListener('storage', fromOtherTab)
  }
}
