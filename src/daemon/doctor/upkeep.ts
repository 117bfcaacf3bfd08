import { constants } from 'node:fs';
import { access, lstat } from 'node:fs/promises';
import type { Finding } from '../../contract/machine.ts';
import { judgeUpkeep } from '../../core/upkeep-checks.ts';
import { exec } from '../../host/exec.ts';
import { ownMountNamespace } from '../../host/features.ts';
import type { Parts } from '../parts.ts';
import { hasSystemd } from './machine.ts';

export async function checkUpkeep(parts: Pick<Parts, 'audit' | 'factors' | 'paths'>): Promise<Finding[]> {
  const systemd = await hasSystemd();
  const verified = await parts.audit.verify();
  return judgeUpkeep({
    audit: {
      intact: verified.intact,
      finding: verified.finding,
      writable: await writable(parts.paths.audit),
      path: parts.paths.audit,
    },
    enrolled: parts.factors.enrolled(),
    ownMounts: await ownMountNamespace(),
    // Other instances are started by whoever uses them.
    unit: systemd && parts.paths.instance === '' ? await unit() : null,
    systemd,
  });
}

/** Root passes every mode; what stops it is a read-only filesystem, or something else in the file's place. */
async function writable(file: string): Promise<boolean> {
  const seen = await lstat(file).catch(() => undefined);
  if (seen !== undefined && !seen.isFile()) return false;
  return access(seen === undefined ? file.slice(0, file.lastIndexOf('/')) : file, constants.W_OK).then(
    () => true,
    () => false,
  );
}

async function unit(): Promise<{ loaded: boolean; enabled: boolean; killMode: string }> {
  const asked = ['LoadState', 'UnitFileState', 'KillMode'];
  const { stdout } = await exec('systemctl', ['show', 'bulkhead.service', `--property=${asked.join(',')}`], {
    deadline: 3000,
  });
  const said = new Map(
    stdout.split('\n').map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );
  return {
    loaded: said.get('LoadState') === 'loaded',
    enabled: said.get('UnitFileState') === 'enabled',
    killMode: said.get('KillMode') ?? '',
  };
}
