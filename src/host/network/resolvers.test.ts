import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GATEWAY_ADDRESS, chooseResolvers, parseResolvConf } from './resolvers.ts';

test('the servers of a resolv.conf are read in order, and nothing else', () => {
  const text =
    '# nameserver 9.9.9.9\nsearch example.com\nnameserver 192.0.2.53\n nameserver\t2001:db8::53 \nnameserver fe80::1%eth0\nnameserver here\n';
  assert.deepEqual(parseResolvConf(text), ['192.0.2.53', '2001:db8::53']);
});

test('servers that are not on loopback are asked directly', () => {
  assert.deepEqual(chooseResolvers(['192.0.2.53', '127.0.0.1'], []), { servers: ['192.0.2.53'], forwarded: undefined });
});

test('a loopback resolver is asked through pasta, and what stands behind it comes next', () => {
  assert.deepEqual(chooseResolvers(['127.0.0.53'], ['192.0.2.53', '127.0.0.1']), {
    servers: [GATEWAY_ADDRESS, '192.0.2.53'],
    forwarded: '127.0.0.53',
  });
});

test('no more servers than glibc reads, and none from nothing', () => {
  const many = ['127.0.0.1', '192.0.2.1', '192.0.2.2', '192.0.2.3'];
  assert.deepEqual(chooseResolvers(many, []).servers, [GATEWAY_ADDRESS, '192.0.2.1', '192.0.2.2']);
  assert.deepEqual(chooseResolvers([], ['192.0.2.1']), { servers: [], forwarded: undefined });
  assert.deepEqual(chooseResolvers(['::1'], ['192.0.2.1']), { servers: [], forwarded: undefined });
});
