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
    let log = '';
    child.stderr.setEncoding('utf8').on('data', (text) => {
      log += text;
      // Not `running` alone: an earlier line, logged before the port is open, contains it too.
      if (/mosquitto version \S+ running/.test(log)) resolve();
    });
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

// Below the ephemeral ports: a connection could take one of those before the broker does.
async function freePort() {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    const server = createServer().listen(port, '127.0.0.1');
    const free = await once(server, 'listening').then(
      () => true,
      () => false,
    );
    if (!free) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}
