import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { App } from './app.tsx'
import { ApiProvider } from './api.tsx'
import './styles/tokens.css'
import './styles/base.css'
import './styles/shell.css'
import './styles/shell-phone.css'
import './styles/log.css'
import './styles/chat.css'
import './styles/assistant.css'

const root = document.getElementById('app')
if (!root) throw new Error('index.html has no element #app.')
createRoot(root).render(
  <StrictMode>
    <ApiProvider>
      <App />
    </ApiProvider>
  </StrictMode>,
)
