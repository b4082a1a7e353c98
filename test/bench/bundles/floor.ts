export { createTRPCClient } from '@trpc/client'
