/** Days and times as the reader's own language writes them. */

const time = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' })
const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'short' })
const dayOfYear = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' })
const dayOfOtherYear = new Intl.DateTimeFormat(undefined, { dateStyle: 'long' })
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto' })

const dayMs = 24 * 3_600_000

export function formatTime(at: number): string {
  return time.format(at)
}

export function formatFull(at: number): string {
  return full.format(at)
}

/** "Today", "Yesterday", or the date. */
export function formatDay(at: number, now: number): string {
  const days = Math.round((startOfDay(at) - startOfDay(now)) / dayMs)
  if (days === 0 || days === -1) return capitalize(relative.format(days, 'day'))
  const sameYear = new Date(at).getFullYear() === new Date(now).getFullYear()
  return (sameYear ? dayOfYear : dayOfOtherYear).format(at)
}

export function startOfDay(at: number): number {
  return new Date(at).setHours(0, 0, 0, 0)
}

function capitalize(text: string): string {
  return text.charAt(0).toLocaleUpperCase() + text.slice(1)
}
