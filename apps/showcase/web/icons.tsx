/** Drawn on a grid of 20, with one stroke width. They say nothing that the text beside them does not. */
import type { ReactNode } from 'react'

function Icon({ children, size = 20 }: { readonly children: ReactNode; readonly size?: number }) {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 20 20"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.6"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
    >
      {children}
    </svg>
  )
}

export function SluiceMark({ size = 22 }: { readonly size?: number }) {
  return (
    <Icon size={size}>
      <path d="M3.5 2.5v15M16.5 2.5v15M3.5 5h13" />
      <path d="M3.5 10.5c2.2-1.9 4.3-1.9 6.5 0s4.3 1.9 6.5 0M3.5 15c2.2-1.9 4.3-1.9 6.5 0s4.3 1.9 6.5 0" />
    </Icon>
  )
}

export function ChatIcon() {
  return (
    <Icon>
      <path d="M3 5.5A2.5 2.5 0 0 1 5.5 3h9A2.5 2.5 0 0 1 17 5.5v6a2.5 2.5 0 0 1-2.5 2.5H9l-4 3.2V14A2 2 0 0 1 3 12z" />
    </Icon>
  )
}

export function AssistantIcon() {
  return (
    <Icon>
      <path d="M10 2.5c.5 4.4 2.6 6.6 7 7.2-4.4.6-6.5 2.8-7 7.3-.5-4.5-2.6-6.7-7-7.3 4.4-.6 6.5-2.8 7-7.2z" />
    </Icon>
  )
}

export function PlusIcon() {
  return (
    <Icon size={18}>
      <path d="M10 4.5v11M4.5 10h11" />
    </Icon>
  )
}

export function SendIcon() {
  return (
    <Icon>
      <path d="M10 16V4.5M5 9.5l5-5 5 5" />
    </Icon>
  )
}

export function StopIcon() {
  return (
    <Icon>
      <rect x="5.5" y="5.5" width="9" height="9" rx="1.5" fill="currentColor" />
    </Icon>
  )
}

export function DownIcon() {
  return (
    <Icon size={16}>
      <path d="M10 4.5V16M5 11l5 5 5-5" />
    </Icon>
  )
}
