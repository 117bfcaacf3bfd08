import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { makeMachine, makeTree, run, type Machine, type Person, type Ran } from '../builders/machine.ts';

/** What production holds, and no attacker may read. */
export const SECRET = 'production-secret-2f1c';

/** A production that appends, flushes, makes and renames ten times a second, and remembers where it could not. */
const FILES: Record<string, string> = {
  'bulkhead.yaml':
    'hooks: { up: ./ops/up.sh }\nlimits: { memory: 512MiB }\nfork: { limits: { memory: 512MiB, disk: 64MiB } }\n',
  'ops/up.sh': `#!/bin/sh
while :; do
  if date +%s%N >> /app/beats && sync /app/beats && date > /app/new && mv /app/new /app/now; then :; else date >> /tmp/missed; fi
  sleep 0.1
done
`,
  'secret.txt': `${SECRET}\n`,
};

/** A machine with a person, production `shop` that is up, and the agent's forks of it. */
export interface Stage {
  machine: Machine;
  person: Person;
  /** UUID of an app or fork. */
  id(ref: string): Promise<string>;
  /** Where the pool has it on the machine. */
  volume(ref: string): Promise<string>;
  /** The command line under an agent's marker; `uid`: as another user. */
  agent(...args: string[]): Promise<Ran>;
  /** What production is now: whether it is as it was, and writes on. */
  production(): Promise<{ secret: string; missed: boolean; beats: number }>;
  remove(): Promise<void>;
}

/** Makes the stage. `forks`: tags, made by the agent. `files`: beside production's own. `size`: of the pool. `env`: the daemon's. */
export async function makeStage(
  options: {
    forks?: readonly string[];
    files?: Record<string, string>;
    size?: string;
    env?: Record<string, string>;
  } = {},
): Promise<Stage> {
  const { size, env } = options;
  const machine = await makeMachine({ ...(size === undefined ? {} : { size }), ...(env === undefined ? {} : { env }) });
  try {
    return await furnish(machine, options);
  } catch (error) {
    await machine.remove();
    throw error;
  }
}

async function furnish(
  machine: Machine,
  options: { forks?: readonly string[]; files?: Record<string, string> },
): Promise<Stage> {
  const person = await machine.person();
  const tree = await makeTree({ ...FILES, ...options.files });
  for (const line of [
    `create shop --from ${tree} </dev/null`,
    `config accept shop --code ${await machine.code()}`,
    'up shop',
  ]) {
    const ran = await person.bulkhead(line);
    if (ran.code !== 0) throw new Error(`${line}: ${ran.stdout}${ran.stderr}${machine.log()}`);
  }
  await rm(tree, { recursive: true });
  const env = { ...process.env, BULKHEAD_INSTANCE: machine.instance, NO_COLOR: '1', CLAUDECODE: '1' };
  const agent = (...args: string[]): Promise<Ran> => machine.cliWith({ env }, ...args);
  for (const tag of options.forks ?? []) {
    const forked = await agent('fork', `shop:${tag}`);
    if (forked.code !== 0) throw new Error(`fork: ${forked.stdout}${forked.stderr}${machine.log()}`);
  }
  const id = async (ref: string): Promise<string> => {
    const { volumes } = await machine.json<{ volumes: { ref: string; id: string }[] }>('ls');
    const found = volumes.find((one) => one.ref === ref)?.id;
    if (found === undefined) throw new Error(`there is no ${ref}`);
    return found;
  };
  const volume = async (ref: string): Promise<string> => path.join(machine.paths.pool, 'live', await id(ref));
  return {
    machine,
    person,
    id,
    volume,
    agent,
    async production() {
      const place = await volume('shop');
      const beats = await readFile(path.join(place, 'beats'), 'utf8').catch(() => '');
      const missed = await run('runc', [
        '--root',
        path.join(machine.paths.run, 'cells/.runtime'),
        'exec',
        await id('shop'),
        'test',
        '-e',
        '/tmp/missed',
      ]);
      return {
        secret: (await readFile(path.join(place, 'secret.txt'), 'utf8').catch(() => '')).trim(),
        missed: missed.code === 0,
        beats: beats.split('\n').length,
      };
    },
    async remove() {
      await person.leave();
      await machine.remove();
    },
  };
}
