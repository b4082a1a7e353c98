// npm run build: what is published, in dist, or in another folder: npm run build -- FOLDER
import { buildPackage } from './lib/build.mjs'
import { install } from './lib/install.mjs'
import { main } from './lib/say.mjs'

await main(async () => {
  await install()
  await buildPackage(process.argv[2])
})
