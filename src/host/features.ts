import { readFile, readlink } from 'node:fs/promises';
import { closeFd, tryCall } from './syscalls.ts';

/** What the running kernel has of what we need; `null`: it cannot be told yet. */
export interface KernelFeatures {
  /** Simple quotas (Linux 6.7), by the name in sysfs; null while the btrfs module is not loaded. */
  simpleQuotas: boolean | null;
  /** SO_PEERPIDFD (Linux 6.5). */
  peerPidfds: boolean;
  /** mount_setattr(2) (Linux 5.12). */
  idmappedMounts: boolean;
  /** User namespaces may be made: ids of cells are mapped through one. */
  userNamespaces: boolean;
}

/** Asks the kernel; changes nothing. */
export async function kernelFeatures(): Promise<KernelFeatures> {
  const limit = await readFile('/proc/sys/user/max_user_namespaces', 'utf8').catch(() => '0');
  return {
    simpleQuotas: await hasSimpleQuotas(),
    peerPidfds: hasPeerPidfds(),
    idmappedMounts: hasMountSetattr(),
    userNamespaces: Number(limit) > 0,
  };
}

async function hasSimpleQuotas(): Promise<boolean | null> {
  const features = '/sys/fs/btrfs/features';
  if (
    await readFile(`${features}/simple_quota`).then(
      () => true,
      () => false,
    )
  )
    return true;
  return readFile(`${features}/extended_iref`).then(
    () => false,
    () => null,
  );
}

const [AF_UNIX, SOCK_STREAM, SOL_SOCKET, SO_PEERPIDFD, ENOPROTOOPT] = [1, 1, 1, 77, 92] as const;

/** A socket without a peer: a kernel that knows the option answers that there is none. */
function hasPeerPidfds(): boolean {
  const fd = tryCall('socket', AF_UNIX, SOCK_STREAM, 0);
  if (fd < 0) return false;
  const length = Buffer.alloc(4);
  length.writeUInt32LE(4);
  const answer = tryCall('getsockopt', fd, SOL_SOCKET, SO_PEERPIDFD, Buffer.alloc(4), length);
  closeFd(fd);
  return answer !== -ENOPROTOOPT;
}

const [SYS_MOUNT_SETATTR, ENOSYS, EPERM] = [442, 38, 1] as const;

/** No descriptor is given: a kernel that has the call says so, one without it says ENOSYS, a filter EPERM. */
function hasMountSetattr(): boolean {
  const answer = tryCall('syscall', SYS_MOUNT_SETATTR, -1, 0, 0, 0, 0, 0);
  return answer !== -ENOSYS && answer !== -EPERM;
}

/** True where this process sees another tree of mounts than process 1. */
export async function ownMountNamespace(): Promise<boolean> {
  const [first, own] = await Promise.all([1, 'self'].map((pid) => readlink(`/proc/${pid}/ns/mnt`).catch(() => '')));
  return first !== '' && first !== own;
}
