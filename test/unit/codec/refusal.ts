import type { Codec } from '../../../shared/codec/codec.ts'
import { SluiceError } from '../../../shared/errors.ts'

/** The code by which a frame is refused; null if it is not. @throws whatever else is thrown. */
export function refusalOf(codec: Codec, frame: Uint8Array, maxDepth?: number): string | null {
  try {
    codec.decode(frame, { maxDepth })
    return null
  } catch (thrown) {
    if (thrown instanceof SluiceError) return thrown.code
    throw thrown
  }
}
