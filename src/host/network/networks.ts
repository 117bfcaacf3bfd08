import type { Networks } from '../networks.ts';
import type { Paths } from '../paths.ts';
import { attachFork, inCell } from './fork.ts';
import { createGatewayNamespace, GATEWAY } from './gateway.ts';
import { createPastas, PRODUCTION_RESOLVER } from './pasta.ts';

/** Networks of cells: forks end in the gateway's namespace, production goes through pasta. */
export function createNetworks(deps: { paths: Paths }): Networks {
  const gateway = createGatewayNamespace(deps.paths.run);
  const pastas = createPastas(deps.paths);
  return {
    resolver: { fork: GATEWAY, production: [PRODUCTION_RESOLVER] },
    prepare: () => gateway.prepare(),
    async attach(cell, pid, slot, network) {
      if (network.kind === 'none') return attachFork(gateway, pid, slot);
      await inCell(pid, ['link set lo up']);
      await pastas.attach(cell, pid, network);
    },
    healthy: async (cell) => pastas.alive(cell),
    // A veth goes with its cell's namespace; only pasta outlives it.
    detach: (cell) => pastas.detach(cell),
    async teardown() {
      await pastas.detachAll();
      await gateway.remove();
    },
  };
}
