import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const source = (path: string) => fileURLToPath(new URL(path, import.meta.url))

export default defineConfig({
  resolve: {
    alias: {
      'trpc-sluice/server': source('server/index.ts'),
      'trpc-sluice/client': source('client/index.ts'),
      'trpc-sluice/react': source('client/react/index.ts'),
      'trpc-sluice/shared': source('shared/index.ts'),
      'trpc-sluice/testing': source('test/kit/index.ts'),
      'trpc-sluice/stores/lmdb': source('server/stores/lmdb/index.ts'),
      'trpc-sluice/codecs/msgpack': source('shared/codec/msgpack.ts'),
      'trpc-sluice/codecs/protobuf': source('shared/codec/protobuf.ts'),
      'trpc-sluice/tabs': source('client/tabs/index.ts'),
      'trpc-sluice/outbox': source('client/outbox/index.ts'),
      'trpc-sluice/otel': source('server/observe/otel.ts'),
    },
  },
  test: {
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.{ts,tsx}'],
          // Ten thousand random sequences are quick alone, and not beside everything else that `npm run check` does.
          testTimeout: 30_000,
          // Pure parts share nothing that one test could leave to the next. 6 s of CPU instead of 11 (190 tests).
          isolate: false,
        },
      },
      {
        extends: true,
        test: {
          name: 'integration',
          include: ['test/{promises,interop,stores,docs}/**/*.test.{ts,tsx}'],
          // For what hangs. A machine that has other things to do makes a compiler or ten servers slow, not wrong.
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'browser',
          include: ['test/browser/**/*.test.ts'],
          testTimeout: 300_000,
          hookTimeout: 300_000,
          fileParallelism: false,
        },
      },
    ],
  },
})
