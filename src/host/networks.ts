import type { Id } from '../core/ids.ts';
import type { CellNetwork } from './cells.ts';

/**
 * The port to the cells' networks. Two kinds: a fork's ends in the gateway's own
 * namespace; production's goes through pasta, in a cgroup that a BPF program
 * keeps from the machine's loopback.
 */
export interface Networks {
  /** Makes the gateway's namespace where it is missing. Repeating it is a success. */
  prepare(): Promise<void>;
  /** Connects a new cell before its first instruction; `pid` is its process 1. `slot` numbers its address. */
  attach(cell: Id, pid: number, slot: number, network: CellNetwork): Promise<void>;
  /** True while the cell's way out stands (pasta may have been killed). */
  healthy(cell: Id): Promise<boolean>;
  /** Takes away what `attach` made. Nothing left is a success. */
  detach(cell: Id, slot: number): Promise<void>;
  /** Takes away the gateway's namespace; for tests and uninstalling. */
  teardown(): Promise<void>;
  /** Server that cells ask for names; written to their resolv.conf. */
  readonly resolver: { fork: string; production: readonly string[] };
}
