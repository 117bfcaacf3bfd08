import { statfs } from 'node:fs/promises';
import { AppError } from '../../contract/errors.ts';
import { formatBytes } from '../../contract/units.ts';
import { planPool } from '../../core/plans.ts';
import type { Plan } from '../../core/steps.ts';
import { doctor as examine } from '../doctor.ts';
import type { Handler, Request } from '../handler.ts';
import type { Parts } from '../parts.ts';
import { inTurn, poolRoom } from '../shared.ts';

const GIB = 2 ** 30;
const SIZE_MOST = 400 * GIB;
const SIZE_LEAST = 256 << 20;

export const init: Handler<'machine.init'> = {
  plan: async (request) => ({ plans: await poolPlans(request) }),
  async run(request) {
    const { parts, input, caller, emit, id } = request;
    return parts.locks.hold(['pool'], async () => {
      for (const plan of await poolPlans(request)) await parts.run(plan, id, emit);
      await parts.poolStart.take();
      const room = await parts.volumes.room();
      if (room === undefined)
        throw new AppError('no-pool', 'The pool was made and is not mounted', { next: ['bulkhead doctor'] });
      if (input.floor !== undefined || parts.store.meta.get('floor') === undefined)
        parts.store.meta.set('floor', String(floorFor(input.floor, room.size)));
      const person = input.person ?? parts.userBehind(caller);
      const enrolment = await parts.factors.enrol(person);
      return { pool: await poolRoom(parts), ...enrolment };
    });
  },
};

/** Where there is a pool, only a person is enrolled. */
async function poolPlans(request: Request<'machine.init'>): Promise<Plan[]> {
  if ((await request.parts.volumes.room()) !== undefined) return [];
  return [planPool(await sizeFor(request), request.input.device ?? null)];
}

/** Bytes of the new pool: what was asked, else half of what is free, with a margin for the machine. */
async function sizeFor({ parts, input }: Request<'machine.init'>): Promise<number> {
  const disk = await statfs(parts.paths.state);
  const free = disk.bavail * disk.bsize;
  const size = input.size ?? Math.min(SIZE_MOST, Math.floor(free / 2 / GIB) * GIB);
  if (size >= SIZE_LEAST) return size;
  throw new AppError(
    'no-room',
    `Cannot make a pool of ${formatBytes(size)}: ${formatBytes(SIZE_LEAST)} is the least, and the disk has ${formatBytes(free)} free`,
    {
      next: ['sudo bulkhead init --size 10G', 'sudo bulkhead init --device /dev/sdX'],
    },
  );
}

/** A tenth of the pool, between 64 MiB and 20 GiB; less than half of it in any case. */
function floorFor(asked: number | undefined, size: number): number {
  if (asked === undefined) return Math.min(20 * GIB, Math.max(64 << 20, Math.floor(size / 10)));
  if (asked <= size / 2) return asked;
  throw new AppError(
    'usage',
    `Cannot keep ${formatBytes(asked)} of a pool of ${formatBytes(size)} free: half of it is the most`,
  );
}

export const confirm: Handler<'machine.confirm'> = {
  run: async ({ parts, caller }) => ({ person: parts.factors.confirmed(caller) }),
};

export const doctor: Handler<'machine.doctor'> = {
  run: (request) => inTurn(request, async () => ({ findings: await examine(request.parts, request.caller) })),
};

export const status: Handler<'machine.status'> = {
  async run({ parts }) {
    const volumes = parts.store.volumes.list().filter((record) => record.state === 'ready');
    const pool = await poolRoom(parts).catch(() => null);
    return {
      version: parts.version,
      instance: parts.paths.instance,
      enrolled: parts.factors.enrolled(),
      started: new Date(parts.started).toISOString(),
      pool,
      poolNote: pool === null ? whyNoPool(parts) : null,
      apps: volumes.filter((record) => record.kind === 'app').length,
      forks: volumes.filter((record) => record.kind === 'fork').length,
      up: volumes.filter((record) => parts.supervisor.state(record.id).state === 'up').length,
      recovered: parts.recovered,
      notes: notes(parts, pool),
    };
  },
};

function whyNoPool({ poolStart }: Parts): string {
  const problem = poolStart.problem();
  return problem === undefined ? 'no pool is mounted: sudo bulkhead init' : `the pool cannot be used: ${problem}`;
}

function notes(parts: Parts, pool: { free: number; floor: number } | null): string[] {
  const said: string[] = [];
  if (pool !== null && pool.free < pool.floor)
    said.push(
      `the pool is below its floor: ${formatBytes(pool.free)} free, ${formatBytes(pool.floor)} kept; forks are frozen and go next`,
    );
  for (const record of parts.store.volumes.list()) {
    const { state, note } = parts.supervisor.state(record.id);
    if (record.kind === 'app' && state === 'failed') said.push(`${record.app} is down: ${note ?? 'it failed'}`);
  }
  return said;
}
