import { Composer } from '../composer.tsx'
import { SluiceMark } from '../icons.tsx'
import { Notice } from '../notice.tsx'
import { ScrollLog } from '../scroll-log.tsx'
import { PageHead } from '../shell/page-head.tsx'
import { formatTime } from '../times.ts'
import { trpc } from '../api.tsx'
import { Answer } from './answer.tsx'
import { useConversation } from './use-conversation.ts'

const suggestions = [
  'How does backpressure work in a stream?',
  'What happens when a socket is closed?',
  'What is a worker thread good for?',
]

export function AssistantPage({ conversation }: { readonly conversation: string | null }) {
  const { turns, loading, error, pending, running, ask, stop, onEnd } = useConversation(conversation)
  const blank = turns.length === 0 && !pending && !loading && !error
  const place = conversation ?? 'new'
  return (
    <>
      <PageHead title="Assistant">
        Reload in mid-answer, or open this page twice: each reader sees every word, once.
      </PageHead>
      <ScrollLog key={place} label="Conversation" busy={running !== null} align="start">
        {blank && conversation === null && <Welcome onPick={ask} />}
        {blank && conversation !== null && <p className="log-note">Nothing has been asked here yet.</p>}
        {turns.map(({ answer, question, by, at }) => (
          <article key={answer} className="turn">
            <Question text={question} note={`${by}, ${formatTime(at)}`} />
            <Answer id={answer} onRetry={() => ask(question)} onEnd={onEnd} />
          </article>
        ))}
        {pending && (
          <article className="turn">
            <Question text={pending.text} note={pending.error ? 'not sent' : 'sending…'} />
            {pending.error && (
              <Notice tone="bad" title="Not sent" message={pending.error.message} onRetry={pending.retry} />
            )}
          </article>
        )}
        {error && <Notice tone="bad" title="This conversation cannot be followed" message={error.message} />}
      </ScrollLog>
      <div className="composer-dock">
        <Composer
          key={place}
          label="Your question"
          placeholder="Ask anything"
          onSend={ask}
          onStop={running === null ? undefined : () => stop(running)}
        />
        <ModelNote />
      </div>
    </>
  )
}

function Question({ text, note }: { readonly text: string; readonly note: string }) {
  return (
    <div className="question">
      <p>{text}</p>
      <footer>{note}</footer>
    </div>
  )
}

function Welcome({ onPick }: { readonly onPick: (question: string) => void }) {
  return (
    <div className="welcome">
      <SluiceMark size={44} />
      <h2>Answers that outlive their page</h2>
      <p>
        Each answer is a run: the server writes it to a log, token by token, whoever is watching. Leave in the
        middle, come back, and it goes on where it is.
      </p>
      <div className="suggestions">
        {suggestions.map(question => (
          <button key={question} type="button" className="button" onClick={() => onPick(question)}>
            {question}
          </button>
        ))}
      </div>
    </div>
  )
}

/** Says honestly what it is that answers. */
function ModelNote() {
  const { data: model } = trpc.assistant.model.useQuery(undefined, { retry: true })
  if (!model) return <p className="composer-hint">&nbsp;</p>
  return (
    <p className="composer-hint">
      {model.about}
      {model.embedded && (
        <>
          {' '}
          It knows nothing; set <code>OPENAI_BASE_URL</code> for a real one.
        </>
      )}
    </p>
  )
}
