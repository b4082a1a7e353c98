/** A real nginx before a server, on a free port, with whatever it needs in a folder of its own. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Scope } from 'trpc-sluice/shared'
import { eventually } from 'trpc-sluice/testing'
import { createFolder } from '../../stores/support/folder.ts'
import { freePort } from '../client/server.ts'

/** As root it is Debian's place, which is not on everybody's PATH. */
const program = process.env['NGINX_PATH'] ?? '/usr/sbin/nginx'

/** @param directives what its one location has beside `proxy_pass`. */
export async function startNginx(serverPort: number, directives: readonly string[]) {
  const scope = new Scope()
  const folder = await createFolder()
  scope.defer(() => folder.remove())
  const port = await freePort()
  const config = join(folder.path, 'nginx.conf')
  await writeFile(config, configOf(port, serverPort, directives))
  const nginx = spawn(program, ['-p', folder.path, '-c', config, '-e', 'stderr'], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  const exited = once(nginx, 'exit')
  await once(nginx, 'spawn')
  scope.defer(async () => {
    nginx.kill('SIGTERM')
    await exited
  })
  const url = `http://127.0.0.1:${port}`
  await eventually(async () => (await fetch(url)).status > 0, { what: 'nginx to answer' })
  return { url, [Symbol.asyncDispose]: () => scope.close() }
}

function configOf(port: number, serverPort: number, directives: readonly string[]): string {
  const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  return `
daemon off;
master_process off; # one process, which needs no rights
pid nginx.pid;
error_log stderr warn;
events {}
http {
  access_log off;
  ${temp.map(name => `${name}_temp_path ${name};`).join('\n  ')}
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://127.0.0.1:${serverPort};
      ${directives.join('\n      ')}
    }
  }
}
`
}
