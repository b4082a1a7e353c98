import { createContext, useContext, type ReactNode } from 'react'
import type { ConnectionView } from '../connection/connection.ts'

const ConnectionContext = createContext<ConnectionView | null>(null)

export interface SluiceProviderProps {
  /** What `sluiceLink()` returned: the very one that the client uses. */
  readonly link: { readonly connection: ConnectionView }
  readonly children?: ReactNode
}

/** Lets the components below see the link's connection. */
export function SluiceProvider({ link, children }: SluiceProviderProps) {
  return <ConnectionContext.Provider value={link.connection}>{children}</ConnectionContext.Provider>
}

export function useConnectionView(): ConnectionView {
  const connection = useContext(ConnectionContext)
  if (connection) return connection
  throw new Error(
    'There is no <SluiceProvider link={link}> around this component. Put one around the app, with the link of your client.',
  )
}
