/** What tests of the showcase have in common: a browser, and the showcase with an assistant that counts. */
import { Scope } from 'trpc-sluice/shared'
import { afterAll } from 'vitest'
import { openBrowser } from './browser.ts'
import { startNumbersEndpoint } from './numbers-endpoint.ts'
import { startShowcase } from './showcase.ts'

/** To be called at the top of a test file: it ends with the tests. */
export async function openScene() {
  const scope = new Scope()
  afterAll(() => scope.close())
  const endpoint = await startNumbersEndpoint()
  scope.defer(() => endpoint.stop())
  const env = { OPENAI_BASE_URL: endpoint.baseURL, OPENAI_MODEL: 'numbers' }
  const showcase = scope.use(await startShowcase({ env }))
  const browser = scope.use(await openBrowser())
  return { browser, endpoint, showcase }
}
