import { TRPCError } from '@trpc/server'
import type { AnyTRPCRouter } from '@trpc/server'
import type { RequestHead } from './request.ts'

/** Whose input it is. */
interface InputOwner {
  readBody(): Promise<string>
  /** It cannot be read; one that is refused by a limit is no such input. */
  inputInvalid(): void
}

/** The input of a request, read when a parser asks for it, and once. */
export class RawInput {
  readonly #router: AnyTRPCRouter
  readonly #owner: InputOwner
  /** Null when it has been read: it is not needed any more. */
  #head: RequestHead | null
  #reading: Promise<unknown> | null = null
  #value: unknown = undefined

  constructor(head: RequestHead, router: AnyTRPCRouter, owner: InputOwner) {
    this.#router = router
    this.#owner = owner
    this.#head = head
  }

  /** @throws TRPCError `BAD_REQUEST` when it is not JSON, or the transformer refuses it. */
  read(): Promise<unknown> {
    if (this.#head) {
      this.#reading = this.#read(this.#head)
      this.#head = null
    }
    return this.#reading ?? Promise.resolve()
  }

  /** What was read so far: for `onError` and the error formatter, which must not cause a reading. */
  known(): unknown {
    return this.#value
  }

  async #read({ method, url }: RequestHead): Promise<unknown> {
    try {
      const json = method === 'GET' ? url.searchParams.get('input') : await this.#owner.readBody()
      if (json) this.#value = this.#parse(json)
      return this.#value
    } catch (cause) {
      if (cause instanceof TRPCError) throw cause
      const message = cause instanceof Error ? cause.message : 'Invalid input'
      throw new TRPCError({ code: 'BAD_REQUEST', message, cause })
    }
  }

  #parse(json: string): unknown {
    try {
      return this.#router._def._config.transformer.input.deserialize(JSON.parse(json))
    } catch (cause) {
      if (!(cause instanceof TRPCError)) this.#owner.inputInvalid()
      throw cause
    }
  }
}
