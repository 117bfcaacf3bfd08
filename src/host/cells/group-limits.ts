/** What a group and all below it may use together. */
export interface GroupLimits {
  /** Bytes. */
  memory?: number;
  /** Processors, 0.5 is half of one. */
  cpus?: number;
  /** Processes and threads. */
  pids?: number;
  /** Against its siblings; 100 is usual. */
  weight?: number;
}

const CPU_PERIOD = 100_000;

/** A value for a controller's file. */
export type Setting = readonly [controller: string, file: string, value: string | number];

/** In v1 each controller has a tree. */
export function limitsV1({ memory, cpus, pids, weight }: GroupLimits): Setting[] {
  return [
    ...(memory === undefined ? [] : [['memory', 'memory.limit_in_bytes', memory] as const]),
    ...(cpus === undefined ? [] : [['cpu', 'cpu.cfs_quota_us', Math.round(cpus * CPU_PERIOD)] as const]),
    ...(pids === undefined ? [] : [['pids', 'pids.max', pids] as const]),
    // 1024 shares are what weight 100 is in v2.
    ...(weight === undefined ? [] : [['cpu', 'cpu.shares', Math.round((weight * 1024) / 100)] as const]),
  ];
}

/** In v2 all files stand in one directory. */
export function limitsV2({ memory, cpus, pids, weight }: GroupLimits): Setting[] {
  return [
    ...(memory === undefined ? [] : [['memory', 'memory.max', memory] as const]),
    ...(cpus === undefined ? [] : [['cpu', 'cpu.max', `${Math.round(cpus * CPU_PERIOD)} ${CPU_PERIOD}`] as const]),
    ...(pids === undefined ? [] : [['pids', 'pids.max', pids] as const]),
    ...(weight === undefined ? [] : [['cpu', 'cpu.weight', weight] as const, ['io', 'io.weight', weight] as const]),
  ];
}
