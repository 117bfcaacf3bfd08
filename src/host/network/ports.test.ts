import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { test } from 'node:test';
import { firstFree, mustBeFree, portArguments } from './ports.ts';

test('ports become arguments, and no ports are said to be none', () => {
  assert.deepEqual(portArguments([]), ['-t', 'none', '-u', 'none']);
  assert.deepEqual(
    portArguments([
      { host: 80, cell: 8080 },
      { host: 8443, cell: 443, address: '127.0.0.1' },
    ]),
    ['-t', '80:8080', '-u', '80:8080', '-t', '127.0.0.1/8443:443', '-u', '127.0.0.1/8443:443'],
  );
});

test('a second port of the machine for one of the cell is TCP alone', () => {
  assert.deepEqual(
    portArguments([
      { host: 80, cell: 8080 },
      { host: 81, cell: 8080 },
    ]).slice(4),
    ['-t', '81:8080'],
  );
});

test('an address is an address', () => {
  for (const address of ['localhost', '127.0.0.1/80 -P /etc/x', '%eth0', ''])
    assert.throws(() => portArguments([{ host: 80, cell: 80, address }]), { code: 'bad-file' });
});

test('a taken port is told from a free one, over TCP and UDP, whatever address it was taken on', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const taken = { host: (server.address() as AddressInfo).port, cell: 80 };
  await assert.rejects(mustBeFree([taken]), { code: 'exists' });
  server.close();
  await once(server, 'close');
  await mustBeFree([taken]);
  assert.equal(await firstFree([taken]), `TCP port ${taken.host}`);
  const socket = createSocket('udp4').bind(taken.host, '127.0.0.1');
  await once(socket, 'listening');
  await assert.rejects(mustBeFree([taken]), { code: 'exists', message: /UDP port/ });
  socket.close();
});
