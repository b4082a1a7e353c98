/** What this process holds, once nobody needs the rest of it. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
export const collectGarbage = runInNewContext('gc') as () => void

/** On the heap and beside it, in bytes. */
export async function memoryAfterGc(): Promise<number> {
  for (let i = 0; i < 4; i++) {
    await new Promise(resolve => setImmediate(resolve))
    collectGarbage()
  }
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
