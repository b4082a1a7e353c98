interface NoticeProps {
  readonly title: string
  readonly message: string
  readonly tone?: 'warn' | 'bad'
  readonly onRetry?: () => void
}

/** Something that the reader should know, and may be able to do something about. */
export function Notice({ title, message, tone = 'warn', onRetry }: NoticeProps) {
  return (
    <div className="notice" data-tone={tone} role="alert">
      <span>
        <strong>{title}.</strong> {message}
      </span>
      {onRetry && (
        <button type="button" className="button-plain" onClick={onRetry}>
          Ask again
        </button>
      )}
    </div>
  )
}
