/** One server of a group, in a process of its own, on the folder that they share. Says its port when it listens. */
import { serve } from 'trpc-sluice/server'
import { lmdbStore } from 'trpc-sluice/stores/lmdb'
import { createApp } from './app.ts'

const [path = ''] = process.argv.slice(2)
const { router } = createApp(lmdbStore({ path }))
const { port } = await serve({ router, port: 0, host: '127.0.0.1' })
console.log(port)
