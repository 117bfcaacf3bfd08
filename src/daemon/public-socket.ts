import { chmod, chown } from 'node:fs/promises';
import { exec } from '../host/exec.ts';

/** Who may connect: the group, and each enrolled uid by an entry of its own, since a new group does not reach open shells. */
export async function openSocket(file: string, uids: readonly number[]): Promise<void> {
  await chmod(file, 0o660);
  const group = await exec('getent', ['group', 'bulkhead'], { accept: [0, 2] });
  const gid = Number(group.stdout.split(':')[2]);
  if (group.code === 0 && Number.isInteger(gid)) await chown(file, 0, gid);
  for (const uid of uids) if (uid !== 0) await exec('setfacl', ['-m', `u:${uid}:rw`, file]);
}
