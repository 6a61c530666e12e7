// Starts mosquitto on a free port of this machine.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';

export async function startBroker() {
  const program = ['/usr/sbin/mosquitto', '/usr/bin/mosquitto', '/usr/local/sbin/mosquitto'].find(existsSync);
  if (program === undefined) {
    console.error('mosquitto is not installed: apt-get install -y --no-install-recommends mosquitto');
    process.exit(2);
  }
  const port = await freePort();
  const child = spawn(program, ['-p', String(port)], { stdio: ['ignore', 'ignore', 'pipe'], detached: true });
  await new Promise((resolve, reject) => {
    child.stderr.setEncoding('utf8').on('data', (text) => text.includes('running') && resolve());
    child.once('exit', (code) => reject(new Error(`mosquitto ended with ${code}`)));
  });
  return {
    url: `mqtt://127.0.0.1:${port}`,
    async stop() {
      child.kill();
      await once(child, 'exit');
    },
  };
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}
