import type { Id } from '../../src/core/ids.ts';
import type { Script, ScriptIo } from '../../src/host/memory/cells.ts';
import type { MemoryVolumes } from '../../src/host/memory/volumes.ts';

/** What the commands in cells without a machine do: the hooks of an app, our helpers, and a few words for tests. */
export interface CellWorld {
  script: Script;
  /** How each hook ends, by ref and name: `shop up`; 0 where nothing is said. */
  codes: Map<string, number>;
  /** What lies in a volume as bulkhead.yaml, parsed, by id. */
  proposals: Map<Id, { file: object; hooks: Record<string, string> }>;
  /** Every hook that ran: `shop:fix prepare`. */
  ran: string[];
  /** Ends what `up` left running in a cell, as if by itself. */
  endService(cell: Id): void;
  /** Hooks wait before they end, until it is called again. */
  hold(): () => void;
}

export function createCellWorld(volumes: MemoryVolumes): CellWorld {
  const services = new Map<Id, () => void>();
  const codes: CellWorld['codes'] = new Map();
  const ran: string[] = [];
  let held: Promise<void> = Promise.resolve();

  async function service(io: ScriptIo): Promise<number> {
    const code = await hook(io, 'up');
    if (code !== 0) return code;
    io.stdout('started\n');
    return new Promise((resolve) => {
      services.set(io.cell.id, () => resolve(0));
      io.ended.addEventListener('abort', () => resolve(137));
      void io.signalled().then(() => resolve(143));
    });
  }

  async function hook(io: ScriptIo, name: string): Promise<number> {
    const ref = io.cell.environment['BULKHEAD_REF'] ?? '';
    ran.push(`${ref} ${name}`);
    await held;
    if (name === 'prepare') await volumes.put({ area: 'live', id: io.cell.id }, 'prepared', Buffer.from('masked'));
    return codes.get(`${ref} ${name}`) ?? 0;
  }

  const world: CellWorld = {
    codes,
    ran,
    proposals: new Map(),
    endService: (cell) => services.get(cell)?.(),
    hold() {
      const { promise, resolve } = Promise.withResolvers<void>();
      held = promise;
      return resolve;
    },
    script: (io) => {
      const line = io.command.join(' ');
      const named = /bulkhead-hooks\/(\w+)/.exec(line)?.[1];
      if (line.includes('cell-helper')) return propose(io);
      if (line.includes('tar --extract')) return unpackInto(io);
      if (line.includes('find /app')) return say(io, '3 12');
      if (named === 'up') return service(io);
      if (named !== undefined) return hook(io, named);
      return word(io);
    },
  };

  async function propose(io: ScriptIo): Promise<number> {
    const proposal = world.proposals.get(io.cell.id);
    return say(io, JSON.stringify(proposal ?? { file: null, hooks: {} }));
  }

  async function unpackInto(io: ScriptIo): Promise<number> {
    const pieces: Buffer[] = [];
    for await (const piece of io.stdin as AsyncIterable<Buffer>) pieces.push(piece);
    const content = Buffer.concat(pieces);
    if (content.includes('broken')) return 2;
    await volumes.put({ area: 'live', id: io.cell.id }, 'data', content);
    return 0;
  }

  /** `cat FILE`, `put FILE TEXT`, `exit CODE`, `wait`: as little as sessions need. */
  function word(io: ScriptIo): Promise<number> | undefined {
    const [name, first = '', second = ''] = io.command;
    const at = { area: 'live', id: io.cell.id } as const;
    if (name === 'cat')
      return volumes
        .get(at, first)
        .then((content) => say(io, content === undefined ? '' : Buffer.from(content).toString()));
    if (name === 'put') return volumes.put(at, first, Buffer.from(second)).then(() => 0);
    if (name === 'exit') return Promise.resolve(Number(first));
    if (name === 'wait') return new Promise((resolve) => io.ended.addEventListener('abort', () => resolve(137)));
    return undefined;
  }
  return world;
}

async function say(io: ScriptIo, text: string): Promise<number> {
  io.stdout(text);
  return 0;
}
