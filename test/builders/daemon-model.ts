import assert from 'node:assert/strict';
import { NO_FILE, type AppFile } from '../../src/contract/app-file.ts';
import { AppError } from '../../src/contract/errors.ts';
import type { OperationName } from '../../src/contract/operations.ts';
import { placeName, type VolumePlace } from '../../src/core/places.ts';
import type { Id } from '../../src/core/ids.ts';
import { createMemoryVolumes, type MemoryVolumes } from '../../src/host/memory/volumes.ts';
import { refOf } from '../../src/daemon/cell-spec.ts';
import { createJournal } from '../../src/store/journal.ts';
import type { VolumeRecord } from '../../src/store/volumes.ts';
import { CODE, makeDaemon, type TestDaemon } from './daemon.ts';
import { accept } from './daemon-tests.ts';

const MIB = 2 ** 20;
const HOUR = 3_600_000;
const TAGS = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];

/** What may be asked of a machine with one app and forks of it; `which` counts over those that there are. */
export type Act =
  | { do: 'fork'; which: number; up: boolean; again: boolean }
  | { do: 'rm' | 'reset' | 'restore' | 'purge' | 'up' | 'down' | 'restart'; which: number }
  | { do: 'write'; which: number; mib: number }
  /** Production changes: its data, and how much it holds. */
  | { do: 'change'; mib: number }
  | { do: 'wait'; hours: number }
  | { do: 'reboot' };

/** What goes wrong meanwhile. */
export interface Trouble {
  /** So many calls of the pool from now one fails, so often in a row, after it was done where it is late. */
  fail?: { call: number; times: number; late: boolean };
  /** The daemon is killed at this place, counted over all journalled steps. */
  kill?: number;
  /** This hook of every fork fails. */
  hook?: string;
}

const FILE: AppFile = {
  ...NO_FILE,
  hooks: { up: './up.sh', health: './health.sh', down: './down.sh' },
  fork: {
    ...NO_FILE.fork,
    prepare: './prepare.sh',
    cleanup: './cleanup.sh',
    limits: { memory: 100 * MIB, disk: 80 * MIB },
  },
};

/** Calls of the pool that a step makes. */
const CALLS = ['freeze', 'copy', 'toTrash', 'fromTrash', 'purge', 'writeManifest', 'removeManifest'] as const;

/** A daemon, and what must be true of it. */
export class DaemonModel {
  readonly daemon: TestDaemon;
  /** What each app or fork holds in `data`, those in the trash included, and what a fork began with. */
  private readonly holds = new Map<Id, { now: string; base: string }>();
  /** What forks held that were reset, by its key in the trash. */
  private readonly old = new Map<Id, string>();
  private trouble: Trouble = {};
  private places = 0;
  private calls = 0;
  private died: () => void = () => {};
  /** Requests that a kill cut off: their records have no outcome. */
  private cut = 0;
  private serial = 0;
  /** What the fork that is being made must hold. */
  private source: string | undefined;

  private constructor(daemon: TestDaemon) {
    this.daemon = daemon;
  }

  static async make(): Promise<DaemonModel> {
    const made: { model?: DaemonModel } = {};
    const volumes = createMemoryVolumes();
    const daemon = await makeDaemon({
      pool: 600 * MIB,
      floor: 100 * MIB,
      notice: 60_000,
      volumes: failing(volumes, (late) => made.model?.fails(late) ?? false),
      killAt: () => made.model?.pass(),
    });
    const model = new DaemonModel(daemon);
    made.model = model;
    await daemon.ask('app.create', { name: 'shop' });
    await volumes.put({ area: 'live', id: daemon.id('shop') }, 'data', Buffer.from('shop'));
    await accept(daemon, 'shop', FILE);
    await daemon.ask('cell.up', { ref: 'shop' });
    model.holds.set(daemon.id('shop'), { now: 'shop', base: '' });
    return model;
  }

  remove(): Promise<void> {
    this.trouble = {};
    return this.daemon.remove();
  }

  private async pass(): Promise<void> {
    this.places += 1;
    if (this.places - 1 !== this.trouble.kill) return;
    this.trouble = {};
    this.died();
    await new Promise(() => {});
  }

  /** Whether this call of the pool fails; asked before it is done, and again after. */
  private fails(late: boolean): boolean {
    const { fail } = this.trouble;
    if (!late) this.calls += 1;
    if (fail === undefined || fail.late !== late) return false;
    return this.calls > fail.call && this.calls <= fail.call + fail.times;
  }

  /** Does it with that trouble; a daemon that is killed is followed by the next. */
  async perform(act: Act, trouble: Trouble): Promise<void> {
    this.trouble = trouble;
    [this.places, this.calls] = [0, 0];
    for (const tag of TAGS)
      if (trouble.hook !== undefined) this.daemon.world.codes.set(`shop:${tag} ${trouble.hook}`, 1);
    const killed = new Promise<'killed'>((resolve) => (this.died = () => resolve('killed')));
    const ended = await Promise.race([this.act(act), killed]);
    this.trouble = {};
    this.daemon.world.codes.clear();
    if (ended === 'killed') {
      this.cut += 1;
      await this.daemon.restart('killed');
    }
    await this.learn(act);
  }

  private async act(act: Act): Promise<void> {
    const { daemon } = this;
    switch (act.do) {
      case 'fork':
        return this.fork(act);
      case 'rm':
        return this.ask('volume.remove', { ref: this.pick(act.which) });
      case 'reset':
        return this.ask('fork.reset', { ref: this.pick(act.which) });
      case 'restore':
        return this.ask('trash.restore', { name: this.pickTrash(act.which) });
      case 'purge':
        return this.ask('trash.purge', { name: this.pickTrash(act.which) });
      case 'up':
      case 'down':
      case 'restart':
        return this.ask(`cell.${act.do}`, { ref: this.pick(act.which) });
      case 'write':
        return this.write(this.pick(act.which), act.mib);
      case 'change':
        await this.ask('session.exec', { ref: 'shop', command: ['put', 'data', `changed ${(this.serial += 1)}`] });
        return this.fill('shop', act.mib);
      case 'wait':
        daemon.now += act.hours * HOUR;
        return daemon.parts.reaper.round();
      case 'reboot':
        for (const { id } of await daemon.cells.list()) await daemon.cells.stop(id);
        await daemon.restart();
        await daemon.parts.supervisor.reconcile();
        return undefined;
    }
  }

  private fork(act: Extract<Act, { do: 'fork' }>): Promise<void> {
    const from = act.again && this.forks().length > 0 ? { from: this.pick(act.which) } : {};
    const source = this.live().find((record) => refOf(record) === (from.from ?? 'shop'));
    this.source = source === undefined ? undefined : this.holds.get(source.id)?.now;
    this.serial += 1;
    return this.ask('fork.create', { ref: `shop:${TAGS[this.serial % TAGS.length]}`, up: act.up, ...from });
  }

  private async write(ref: string, mib: number): Promise<void> {
    const record = this.live().find((one) => refOf(one) === ref);
    const held = record === undefined ? undefined : this.holds.get(record.id);
    if (record === undefined || held === undefined || this.unfinished().has(ref)) return;
    const text = `written ${(this.serial += 1)}`;
    await this.daemon.volumes.put({ area: 'live', id: record.id }, 'data', Buffer.from(text));
    this.holds.set(record.id, { ...held, now: text });
    await this.fill(ref, mib);
  }

  private async fill(ref: string, mib: number): Promise<void> {
    const place = { area: 'live', id: this.daemon.id(ref) } as const;
    await this.daemon.volumes.put(place, 'bulk', Buffer.alloc(mib * MIB)).catch(() => {});
  }

  private live(): VolumeRecord[] {
    return this.daemon.parts.store.volumes.list().filter(({ state }) => state === 'ready');
  }
  private forks(): string[] {
    return this.live()
      .filter(({ kind }) => kind === 'fork')
      .map(refOf);
  }
  /** What a plan works on that could neither be done nor taken back: the next operation on it or the next start does. */
  private unfinished(): ReadonlySet<string> {
    return new Set(
      createJournal(this.daemon.parts.store.db)
        .open()
        .map(({ plan }) => plan.target),
    );
  }
  /** One of those that there are; a name that is none, where there is none. */
  private pick(which: number): string {
    const there = this.forks();
    return there[which % Math.max(1, there.length)] ?? 'shop:none';
  }
  private pickTrash(which: number): string {
    const there = this.daemon.parts.store.trash.list();
    return there[which % Math.max(1, there.length)]?.name ?? 'shop:none';
  }

  /** Asks as a person. What is refused or fails says so in our words. */
  private async ask(name: OperationName, input: object): Promise<void> {
    try {
      await this.daemon.ask(name, input as never, { code: CODE });
    } catch (error) {
      assert.ok(error instanceof AppError, String(error));
      assert.doesNotMatch(error.message, /Something went wrong/, `${name} ${JSON.stringify(input)}`);
    }
  }

  /** The model goes on with what is there now, where that is one of the things that may be. */
  private async learn(act: Act): Promise<void> {
    const unfinished = this.unfinished();
    // What a fork held before it was reset lies in the trash.
    for (const item of this.daemon.parts.store.trash.list())
      if (item.kind === 'content' && !this.old.has(item.key))
        this.old.set(item.key, this.holds.get(item.volume)?.now ?? 'unknown');
    for (const record of this.live().filter((one) => !unfinished.has(refOf(one)))) {
      const held = await this.read({ area: 'live', id: record.id });
      const known = this.holds.get(record.id);
      const say = `${refOf(record)} holds "${held}" after ${JSON.stringify(act)}`;
      if (known === undefined) {
        // It may have been finished by a later act than its own.
        if (act.do === 'fork' && record.parent !== null) assert.equal(held, this.source, say);
        this.holds.set(record.id, { now: held, base: await this.read({ area: 'base', id: record.id }) });
        continue;
      }
      const wanted = record.kind === 'app' ? [known.now, `changed ${this.serial}`] : [known.now, known.base];
      assert.ok(wanted.includes(held), `${say}, and ${JSON.stringify(known)} was known`);
      this.holds.set(record.id, { ...known, now: held });
    }
  }

  private async read(place: VolumePlace): Promise<string> {
    return Buffer.from((await this.daemon.volumes.get(place, 'data')) ?? []).toString();
  }

  /** What holds after each act. */
  async check(): Promise<void> {
    const { parts, volumes, cells } = this.daemon;
    const unfinished = this.unfinished();
    assert.ok(
      this.live().some(({ kind }) => kind === 'app'),
      'production is there',
    );
    for (const record of this.live().filter((one) => !unfinished.has(refOf(one)))) {
      const place = { area: 'live', id: record.id } as const;
      assert.equal(
        await this.read(place),
        this.holds.get(record.id)?.now,
        `${refOf(record)} holds what was written last`,
      );
      const prepared = record.kind === 'app' || (await volumes.get(place, 'prepared')) !== undefined;
      assert.ok(prepared, `${refOf(record)} was prepared`);
    }
    for (const item of parts.store.trash.list().filter(({ ref }) => !unfinished.has(ref))) {
      const wanted = item.kind === 'content' ? this.old.get(item.key) : this.holds.get(item.volume)?.now;
      if (wanted !== undefined)
        assert.equal(await this.read({ area: 'trash', id: item.key }), wanted, `${item.name} in the trash`);
    }
    const open = createJournal(parts.store.db).open();
    if (open.length === 0) await this.checkPool();
    for (const { id } of await cells.list()) {
      const record = parts.store.volumes.byId(id);
      assert.ok(
        record?.state === 'ready' || open.length > 0,
        `a cell of ${record?.tag ?? id}, which is ${record?.state}`,
      );
    }
    for (const record of parts.store.volumes.list()) {
      const { state } = parts.supervisor.state(record.id);
      if (state === 'up') assert.ok(await cells.up(record.id), `${record.tag} is up and has a cell`);
      assert.ok(!parts.locks.held(record.tag === null ? record.app : `${record.app}:${record.tag}`), 'nothing is held');
    }
    assert.equal(parts.forking.size, 0);
    const times = parts.store.points.list(this.daemon.id('shop')).map((point) => point.at);
    for (const [index, at] of times.entries())
      assert.ok(index === 0 || (times[index - 1] ?? 0) - at >= 60_000, 'points are a minute apart');
  }

  /** Records and pool tell the same, and nothing is left over. */
  private async checkPool(): Promise<void> {
    const { volumes, trash, points } = this.daemon.parts.store;
    const expected = new Set<string>();
    for (const record of volumes.list()) {
      assert.equal(record.state, 'ready', `${record.tag} is half made`);
      expected.add(`live/${record.id}`);
      if (record.kind === 'fork') expected.add(`base/${record.id}`);
      assert.ok(await this.daemon.volumes.readManifest(record.id), `${record.tag} has its manifest`);
    }
    for (const item of trash.list()) {
      expected.add(`trash/${item.key}`);
      if (item.kind === 'fork') expected.add(`base/${item.volume}`);
    }
    for (const point of points.all()) expected.add(`point/${point.id}`);
    const there = new Set((await this.daemon.volumes.list()).map(placeName));
    assert.deepEqual(there, expected);
  }

  /** What holds once nothing is in the way any more: the next start finishes all, and every record has its outcome. */
  async checkWhole(): Promise<void> {
    await this.daemon.restart();
    assert.deepEqual(createJournal(this.daemon.parts.store.db).open(), []);
    await this.check();
    await this.checkPool();
    const records = await this.daemon.audit();
    const ended = new Set(records.filter(({ phase }) => phase === 'outcome').map(({ request }) => request));
    const without = records.filter(({ phase, request }) => phase === 'intent' && !ended.has(request));
    assert.ok(without.length <= this.cut, `${without.length} requests have no outcome, ${this.cut} were cut off`);
    assert.deepEqual((await this.daemon.parts.audit.verify()).intact, true);
  }
}

/** A pool whose calls fail where they are told to. */
function failing(volumes: MemoryVolumes, fails: (late: boolean) => boolean): MemoryVolumes {
  const wrapped = { ...volumes };
  for (const name of CALLS) {
    const call = volumes[name] as (...args: unknown[]) => Promise<void>;
    Object.assign(wrapped, {
      [name]: async (...args: unknown[]) => {
        const error = new AppError('failed', `the pool would not ${name}`);
        if (fails(false)) throw error;
        await call(...args);
        if (fails(true)) throw error;
      },
    });
  }
  return wrapped;
}
