export { createTRPCClient } from '@trpc/client'
export { sluiceLink } from 'trpc-sluice/client'
