import assert from 'node:assert/strict';
import { readdir, rm } from 'node:fs/promises';
import { makeMachine, makeTree, type Machine, type Person } from '../test/builders/machine.ts';
import type { BenchOptions, Row } from './snapshot.ts';
import { rowOf } from './times.ts';

/**
 * From `fork --up` to rows: a fork of a running PostgreSQL recovers as after a power
 * cut and answers its first query. Production runs and is written to all along.
 */
export async function rows(options: BenchOptions): Promise<Row[]> {
  const [version] = await readdir('/usr/lib/postgresql');
  const bin = `/usr/lib/postgresql/${version}/bin`;
  const machine = await makeMachine({ size: '4G' });
  const tree = await makeTree(files(bin));
  try {
    const person = await machine.person();
    await person.create('shop', tree);
    await demand(machine, person, `exec shop -- ${bin}/initdb -D /app/data -A trust --no-sync`);
    await demand(machine, person, 'up shop');
    await demand(machine, person, `exec shop -- ${bin}/pgbench -h /tmp -i -s 20 -q postgres`);
    return [
      rowOf(
        'PostgreSQL in a fork answers its first query, `fork --up` to rows',
        await timeForks(machine, bin, options.quick ? 4 : 15),
        { goal: 1500 },
      ),
    ];
  } finally {
    await machine.remove();
    await rm(tree, { recursive: true, force: true });
  }
}

const files = (bin: string): Record<string, string> => ({
  'bulkhead.yaml': 'hooks: { up: ./up.sh, health: ./health.sh }\nfork: { limits: { memory: 1GiB } }\n',
  'up.sh': `#!/bin/sh\nexec ${bin}/postgres -D /app/data -k /tmp -c listen_addresses=\n`,
  'health.sh': `#!/bin/sh\nexec ${bin}/pg_isready -q -h /tmp\n`,
});

async function demand(machine: Machine, person: Person, line: string): Promise<void> {
  const ran = await person.bulkhead(line, 300_000);
  assert.equal(ran.code, 0, `${line}: ${ran.stdout}${ran.stderr}${machine.log()}`);
}

async function timeForks(machine: Machine, bin: string, count: number): Promise<number[]> {
  const found: number[] = [];
  for (let at = 0; at < count; at += 1) {
    const started = performance.now();
    const forked = await machine.cli('fork', 'shop:db', '--up');
    assert.equal(forked.code, 0, forked.stderr);
    const asked = await machine.cli(
      'exec',
      'shop:db',
      '--',
      `${bin}/psql`,
      '-h',
      '/tmp',
      '-Atc',
      'select count(*) from pgbench_accounts',
      'postgres',
    );
    found.push(performance.now() - started);
    assert.equal(asked.stdout.trim(), '2000000', asked.stderr);
    assert.equal((await machine.cli('rm', 'shop:db')).code, 0);
  }
  return found;
}
