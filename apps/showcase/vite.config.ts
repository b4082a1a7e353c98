import react from '@vitejs/plugin-react'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vite'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))

// In development, vite serves the page and hands everything else to the showcase's own server.
const server = process.env.SHOWCASE_SERVER ?? 'http://127.0.0.1:3000'

export default defineConfig({
  root: here('.'),
  plugins: [react()],
  // `trpc-sluice/client` and its like are our own sources: no build of the library in the loop.
  resolve: { tsconfigPaths: true },
  build: { outDir: here('dist'), emptyOutDir: true, target: 'es2022' },
  server: { proxy: { '/trpc': { target: server, ws: true } } },
})
