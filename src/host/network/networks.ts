import type { Networks } from '../networks.ts';
import type { Paths } from '../paths.ts';
import { createGateway } from './gateway.ts';
import { createWaysOut } from './pasta.ts';
import { GATEWAY_ADDRESS, type Resolvers, readResolvers } from './resolvers.ts';

/**
 * The real networks of cells: links into the gateway's namespace, and ways out
 * through pasta. It keeps nothing in memory: what exists is read from the kernel, so
 * the next daemon finds what an earlier one made, and every call may be repeated.
 *
 * `resolvers` reads the machine's name servers; it is a parameter for machines that are made up.
 */
export function createNetworks(deps: { paths: Paths; resolvers?: () => Resolvers }): Networks {
  const resolvers = deps.resolvers ?? (() => readResolvers());
  const gateway = createGateway({ run: deps.paths.run });
  const ways = createWaysOut({ run: deps.paths.run, cgroup: deps.paths.cgroup, resolvers });
  return {
    prepare: () => gateway.prepare(),
    attach: (cell, pid, slot, network) =>
      network.kind === 'none' ? gateway.link(slot, pid) : ways.open(cell, pid, network.ports),
    healthy: async (cell) => ways.alive(cell) ?? true,
    async detach(cell, slot) {
      // A cell has one or the other; taking a link away costs 25 ms, so it is not tried in vain.
      if (!(await ways.close(cell))) await gateway.unlink(slot);
    },
    async teardown() {
      await ways.closeAll();
      await gateway.teardown();
    },
    resolver: {
      fork: GATEWAY_ADDRESS,
      get production() {
        return resolvers().servers;
      },
    },
  };
}
