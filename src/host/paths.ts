import path from 'node:path';
import { AppError } from '../contract/errors.ts';

/** Where an instance keeps what; the only place that knows. */
export interface Paths {
  /** '' for the machine's own. */
  instance: string;
  /** State that outlives a boot, root only. */
  state: string;
  /** State of this boot, root only but for the socket's directory. */
  run: string;
  /** The socket that local callers use. */
  socket: string;
  /** cgroup parent, relative to every hierarchy. */
  cgroup: string;
  database: string;
  audit: string;
  poolFile: string;
  /** Mount point of the pool, below a directory that only root can enter. */
  pool: string;
}

const INSTANCE = /^[a-z0-9][a-z0-9-]{0,20}$/;

/** The paths of the instance that `BULKHEAD_INSTANCE` names. Throws `bad-name`. */
export function pathsOf(instance: string | undefined): Paths {
  const name = instance ?? '';
  if (name !== '' && !INSTANCE.test(name))
    throw new AppError(
      'bad-name',
      `Cannot use "${name.slice(0, 40)}" as an instance: use 1 to 21 lower-case letters, digits and hyphens`,
    );
  const suffix = name === '' ? '' : `-${name}`;
  const state = `/var/lib/bulkhead${suffix}`;
  const run = `/run/bulkhead${suffix}`;
  return {
    instance: name,
    state,
    run,
    socket: path.join(run, 'public', 'bulkhead.sock'),
    cgroup: `bulkhead${suffix}`,
    database: path.join(state, 'state.db'),
    audit: path.join(state, 'audit.jsonl'),
    poolFile: path.join(state, 'pool.btrfs'),
    pool: path.join(state, 'pool'),
  };
}
