import { useEffect } from 'react'
import { useStream } from 'trpc-sluice/react'
import type { RunOutcome } from 'trpc-sluice/shared'
import { answerFold } from '../../shared/folds.ts'
import { endpointFailures, type AnswerResult } from '../../shared/schemas.ts'
import { client } from '../api.tsx'
import { Notice } from '../notice.tsx'
import { Prose } from './prose.tsx'

interface AnswerProps {
  readonly id: string
  /** Asks the same question again. */
  readonly onRetry: () => void
  /** Called when there is nothing more to come. */
  readonly onEnd: (id: string) => void
}

/** One answer, watched from wherever it is now to its end. */
export function Answer({ id, onRetry, onEnd }: AnswerProps) {
  const { state: text, end, error } = useStream(client.assistant.answer.attach, { id }, { fold: answerFold })
  const over = end !== null || error !== null
  useEffect(() => {
    if (over) onEnd(id)
  }, [over, onEnd, id])
  return (
    <div className="answer" data-answer={id} data-outcome={end?.status ?? 'running'}>
      {text === '' && !over && (
        <p className="thinking">
          <span className="visually-hidden">The model is thinking…</span>
          <i />
          <i />
          <i />
        </p>
      )}
      <Prose text={text} streaming={!over} />
      {error && <Notice tone="bad" title="This answer cannot be shown" message={error.message} />}
      {end && <Ending outcome={end} onRetry={onRetry} />}
    </div>
  )
}

interface EndingProps {
  readonly outcome: RunOutcome<AnswerResult>
  readonly onRetry: () => void
}

function Ending({ outcome, onRetry }: EndingProps) {
  switch (outcome.status) {
    case 'done': {
      const { model, pieces, tookMs, finish } = outcome.result
      return (
        <footer>
          <span>{model}</span>
          <span>{pieces} tokens</span>
          <span>{(tookMs / 1000).toFixed(1)} s</span>
          {finish === 'length' && <span>cut off at its limit</span>}
        </footer>
      )
    }
    case 'stopped':
      return <footer>Stopped.</footer>
    case 'interrupted':
      return (
        <Notice
          title="Interrupted"
          message="The server went away while it was writing this answer. What it had written is above."
          onRetry={onRetry}
        />
      )
    case 'failed':
      return (
        <Notice
          tone="bad"
          title={titleOf(outcome.error.code)}
          message={outcome.error.message}
          onRetry={onRetry}
        />
      )
    default:
      return outcome satisfies never
  }
}

function titleOf(code: string): string {
  return (endpointFailures as Readonly<Record<string, string>>)[code] ?? 'The answer failed'
}
