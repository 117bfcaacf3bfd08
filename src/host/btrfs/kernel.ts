import { AppError } from '../../contract/errors.ts';

/** Simple quotas that can be relied on, peer pidfds and limits of a bdi are all there from this one on. */
const LEAST = [6, 8] as const;

/** Throws `unsupported` for a kernel that is too old, with the package that helps. `release` as in `uname -r`. */
export function requireKernel(release: string): void {
  const [major = 0, minor = 0] = release.split('.').map((part) => Number.parseInt(part, 10));
  if (major > LEAST[0] || (major === LEAST[0] && minor >= LEAST[1])) return;
  throw new AppError('unsupported', `Cannot make a pool: this is Linux ${release}, and it takes 6.8 or newer`, {
    why: 'Caps of forks need simple quotas, which older kernels do not have.',
    // Debian 12 has it in bookworm-security; Debian 13 and Ubuntu 24.04 come with a newer one.
    next: ['apt-get install linux-image-6.12-amd64', 'reboot'],
  });
}
