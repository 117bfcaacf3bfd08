import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NO_FILE, parseAppFile, parsePort } from './app-file.ts';

test('every key is optional, and values are normalised', () => {
  assert.deepEqual(parseAppFile({}), NO_FILE);
  const file = parseAppFile({
    hooks: { up: './ops/up.sh' },
    ports: ['80:8080'],
    limits: { memory: '4GiB', cpus: 2 },
    fork: { ttl: '24h', limits: { disk: '20GiB' }, egress: 'any' },
  });
  assert.deepEqual(
    [file.limits.memory, file.fork.ttl, file.fork.limits.disk, file.fork.egress],
    [4 * 2 ** 30, 86_400, 20 * 2 ** 30, 'any'],
  );
});

const WRONG: [unknown, string, RegExp][] = [
  [{ compose: ['compose.yaml'] }, 'not-built', /"compose"/],
  [{ engine: 'docker' }, 'not-built', /engine: docker/],
  [{ fork: { egress: ['example.com'] } }, 'not-built', /list of hosts/],
  [{ fork: { idle_stop: '30m' } }, 'not-built', /idle_stop/],
  [{ secrets: {} }, 'not-built', /secrets/],
  [{ hook: {} }, 'bad-file', /unknown key "hook"/],
  [{ fork: { ttl: 'soon' } }, 'bad-file', /fork\.ttl.*24h/],
  [{ hooks: { up: '/etc/passwd' } }, 'bad-file', /hooks\.up.*inside the app/],
  [{ hooks: { up: '../../x' } }, 'bad-file', /inside the app/],
  [{ ports: ['80'] }, 'bad-file', /MACHINE:CELL/],
  [{ paths: ['opt'] }, 'bad-file', /absolute/],
  [[], 'bad-file', /bulkhead\.yaml/],
  ['text', 'bad-file', /bulkhead\.yaml/],
];
for (const [value, code, message] of WRONG)
  test(`${JSON.stringify(value)} is refused as ${code}, naming the key`, () => {
    assert.throws(() => parseAppFile(value), { code, message });
  });

test('a port is two numbers, with an address where it is to be one', () => {
  assert.deepEqual(parsePort('127.0.0.1:80:8080'), { host: 80, cell: 8080, address: '127.0.0.1' });
  assert.throws(() => parsePort('80:0'), { code: 'bad-file' });
  assert.throws(() => parsePort('80:70000'), { code: 'bad-file' });
});
