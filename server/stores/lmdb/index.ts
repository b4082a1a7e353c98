export { lmdbStore, type LmdbStore, type LmdbStoreOptions } from './store.ts'
