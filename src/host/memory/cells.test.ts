import { randomUUID } from 'node:crypto';
import type { Id } from '../../core/ids.ts';
import { suiteScript } from '../cells-commands.suite.ts';
import { cellsSuite } from '../cells.suite.ts';
import { createMemoryCells } from './cells.ts';

cellsSuite('memory', async () => ({
  cells: createMemoryCells({ script: suiteScript }),
  spec: {
    id: randomUUID() as Id,
    role: 'fork',
    name: 'shop-fix',
    source: '/nowhere',
    idBase: 0x70000000,
    limits: { memory: 1 << 30, cpus: 1, pids: 100 },
    network: { kind: 'none' },
    paths: [],
    socketDir: '/nowhere',
    hooks: {},
    environment: { BULKHEAD_REF: 'shop:fix' },
  },
  remove: async () => {},
}));
