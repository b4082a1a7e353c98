// One connection for all tabs of a browser
export { shareTabs, type TabOptions, type TabSharing } from './tabs.ts'

// What is to happen in one of them only
export { oncePerBrowser, type OncePerBrowserOptions, type Turn } from './once.ts'
