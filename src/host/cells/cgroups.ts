import { existsSync, mkdirSync, readFileSync, readdirSync, rmdirSync, statfsSync, watch, writeFileSync } from 'node:fs';
import { rmdir } from 'node:fs/promises';
import path from 'node:path';
import { AppError } from '../../contract/errors.ts';
import { limitsV1, limitsV2, type GroupLimits } from './group-limits.ts';

/**
 * Control groups, in the kernel's two forms: one tree (v2), or one tree for each
 * controller (v1) with an empty v2 tree beside them. Killing, freezing and
 * "nothing lives here any more" are asked of the v2 tree in both.
 */
export interface Cgroups {
  /** Makes a group in every tree, its parents as well, for groups and limits below it. Repeating it is a success. */
  make(group: string): void;
  /** Makes a group below an existing one, in every tree. Throws `wrong-state` where its parent is gone. */
  makeIn(parent: string, name: string): void;
  /** Takes a group away with all below it, once nothing lives in it. Nothing there is a success. */
  remove(group: string): Promise<void>;
  /** The same at once, and only where nothing lives in it and none is below it. */
  removeIfEmpty(group: string): void;
  exists(group: string): boolean;
  /** Where the v2 tree has it. */
  directory(group: string): string;
  /** Groups directly below one. */
  children(group: string): string[];
  /** Processes directly in a group, as the machine sees them. */
  processes(group: string): number[];
  /** True while anything lives in a group or below it. */
  populated(group: string): boolean;
  /** Ends all of it at once (Linux 5.14): nothing can fork its way out. */
  kill(group: string): void;
  freeze(group: string, frozen: boolean): void;
  frozen(group: string): boolean;
  /** Called once when nothing lives in the group any more. Returns an unsubscribe. */
  whenEmpty(group: string, call: () => void): () => void;
  /** What a group and all below it may use together; weight against its siblings, 100 is usual. */
  limit(group: string, limits: GroupLimits): void;
  /** True where the kernel accounts swap. */
  swap: boolean;
}

const ROOT = '/sys/fs/cgroup';
const CGROUP2_SUPER_MAGIC = 0x63677270;
/** Controllers that cells are limited by, where the v2 tree has them. */
const CONTROLLERS = ['cpu', 'memory', 'pids', 'io', 'cpuset'] as const;

/** The trees at `root`: the v2 one, and those of v1 by controller. Throws `unsupported` where there is no v2 tree. */
function findTrees(root: string): { unified: string; v1: ReadonlyMap<string, string> } {
  if (statfsSync(root).type === CGROUP2_SUPER_MAGIC) return { unified: root, v1: new Map() };
  const unified = path.join(root, 'unified');
  if (!existsSync(path.join(unified, 'cgroup.procs')))
    throw new AppError('unsupported', 'Cannot end processes reliably: this machine has no cgroup v2 tree', {
      next: [`mkdir -p ${unified} && mount -t cgroup2 none ${unified}`],
    });
  const names = readdirSync(root).filter(
    (name) => name !== 'unified' && existsSync(path.join(root, name, 'cgroup.procs')),
  );
  return { unified, v1: new Map(names.map((name) => [name, path.join(root, name)])) };
}

/** The machine's control groups. */
export function createCgroups(root = ROOT): Cgroups {
  const { unified, v1 } = findTrees(root);
  const trees = [unified, ...v1.values()];
  const at = (group: string, file = ''): string => path.join(unified, group, file);
  const set = (file: string, value: string | number): void => writeFileSync(file, String(value));

  const make = (group: string): void => {
    for (const tree of trees) if (!existsSync(path.join(tree, group))) makeOne(tree, group);
  };
  const makeOne = (tree: string, group: string): void => {
    const parent = path.dirname(group);
    if (parent !== '.' && !existsSync(path.join(tree, parent))) makeOne(tree, parent);
    if (v1.size === 0) delegate(path.join(tree, parent));
    makeOwn(tree, group);
  };
  const makeOwn = (tree: string, group: string): void => {
    mkdirIfMissing(path.join(tree, group));
    if (tree === v1.get('cpuset')) inheritCpus(tree, group);
  };

  // A group that is taken away says nothing to who watches its file, so its watchers are told here.
  const watchers = new Set<{ group: string; look: () => void }>();
  const tellRemoved = (removed: string): void => {
    for (const { group, look } of watchers) if (group === removed || group.startsWith(`${removed}/`)) look();
  };

  const populated = (group: string): boolean => {
    const events = readText(at(group, 'cgroup.events'));
    return events !== undefined && /^populated 1$/m.test(events);
  };

  return {
    make,
    // Nothing is handed down: a group with processes of its own could not (cgroups(7), "no internal processes").
    makeIn: (parent, name) => trees.forEach((tree) => makeOwn(tree, path.join(parent, name))),
    directory: (group) => at(group),
    exists: (group) => trees.some((tree) => existsSync(path.join(tree, group))),
    children: (group) => directories(at(group)),
    processes: (group) => (readText(at(group, 'cgroup.procs')) ?? '').split('\n').filter(Boolean).map(Number),
    populated,
    remove: async (group) => {
      await Promise.all(trees.map((tree) => removeTree(path.join(tree, group))));
      tellRemoved(group);
    },
    removeIfEmpty: (group) => {
      if (!populated(group) && directories(at(group)).length === 0)
        for (const tree of trees) removeEmpty(path.join(tree, group));
    },
    kill: (group) => {
      if (existsSync(at(group))) set(at(group, 'cgroup.kill'), 1);
    },
    freeze: (group, frozen) => set(at(group, 'cgroup.freeze'), frozen ? 1 : 0),
    frozen: (group) => /^frozen 1$/m.test(readText(at(group, 'cgroup.events')) ?? ''),
    whenEmpty: (group, call) => {
      const watcher = watchEmpty(
        at(group, 'cgroup.events'),
        () => !populated(group),
        () => {
          watchers.delete(entry);
          call();
        },
      );
      const entry = { group, look: watcher.look };
      watchers.add(entry);
      return () => {
        watchers.delete(entry);
        watcher.stop();
      };
    },
    limit: (group, limits) => {
      make(group);
      const files = v1.size === 0 ? limitsV2(limits) : limitsV1(limits);
      for (const [controller, file, value] of files) {
        const place = path.join(v1.get(controller) ?? unified, group, file);
        // Weights of I/O are there with some schedulers only.
        if (controller !== 'io' || existsSync(place)) set(place, value);
      }
    },
    swap: v1.size === 0 || existsSync(path.join(v1.get('memory') ?? '', 'memory.memsw.limit_in_bytes')),
  };
}

/** In v2 a group's controllers are those that its parent hands down; handing down twice is a success. */
function delegate(parent: string): void {
  const available = new Set((readText(path.join(parent, 'cgroup.controllers')) ?? '').trim().split(' '));
  for (const controller of CONTROLLERS)
    if (available.has(controller)) writeFileSync(path.join(parent, 'cgroup.subtree_control'), `+${controller}`);
}

/** In v1 a new cpuset group has no processor and takes no process, until it is given some. */
function inheritCpus(tree: string, group: string): void {
  for (const file of ['cpuset.cpus', 'cpuset.mems']) {
    const parent = readText(path.join(tree, path.dirname(group), file)) ?? '';
    writeFileSync(path.join(tree, group, file), parent);
  }
}

function mkdirIfMissing(directory: string): void {
  try {
    mkdirSync(directory);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT')
      throw new AppError('wrong-state', 'The cell is not running', { next: ['bulkhead up'], cause: error });
    if (code !== 'EEXIST') throw error;
  }
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    // ENODEV: the group went while its file was open.
    if (['ENOENT', 'ENODEV'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}

function directories(directory: string): string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch {
    return [];
  }
}

function removeEmpty(directory: string): void {
  try {
    rmdirSync(directory);
  } catch (error) {
    if (!['ENOENT', 'EBUSY'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}

/** Lowest first. A group stays busy for a moment after its last process has ended. */
async function removeTree(directory: string): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    for (const name of directories(directory)) await removeTree(path.join(directory, name));
    try {
      await rmdir(directory);
      return;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT') return;
      if (code !== 'EBUSY' || attempt === 200) throw error;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

/** Milliseconds, where nobody tells. */
const LOOK_EVERY = 200;

/** `cgroup.events` changes, and says so to inotify, when a group empties (cgroups(7)). */
function watchEmpty(file: string, empty: () => boolean, call: () => void): { look: () => void; stop: () => void } {
  let done = false;
  let stop = (): void => {};
  const finish = (): void => {
    if (done) return;
    done = true;
    stop();
    call();
  };
  const look = (): void => {
    if (!done && empty()) finish();
  };
  try {
    const watcher = watch(file, { persistent: false }, look);
    watcher.on('error', look);
    stop = () => watcher.close();
  } catch {
    // The group is gone: the look below sees that. Or root has no watch left, since others have them all.
    const timer = setInterval(look, LOOK_EVERY).unref();
    stop = () => clearInterval(timer);
  }
  // After the watch is set, or an end in between would be missed.
  setImmediate(look);
  return {
    look,
    stop: () => {
      done = true;
      stop();
    },
  };
}
