// Serving a router
export { createSluice, type Sluice } from './sluice.ts'
export { serve, type Served, type ServeOptions } from './serve.ts'
export type { DrainOptions, ErrorReport, SluiceOptions } from './options.ts'
export type { FetchContextOptions, NodeContextOptions } from './carriers/context.ts'
export type { AllowedOrigins } from './carriers/upgrade.ts'
export type { KeepAlive } from './session/liveness.ts'
export type { SluiceStats } from './observe/stats.ts'

// Moving over from tRPC's own adapters
export { applyWSSHandler, createHTTPHandler } from './stock.ts'

// Schemas
export { resumable } from '../shared/schema.ts'
