import * as z from 'zod/mini';
import { AppError } from './errors.ts';
import { parseBytes, parseSeconds } from './units.ts';

/**
 * `bulkhead.yaml`, the keys that are built. Another key of the design is refused
 * as `not-built`, an unknown one as `bad-file`. Values are normalised: bytes, seconds.
 */
const size = z.pipe(
  z.union([z.string(), z.int()]),
  z.transform((value, context) => fromUnit(parseBytes(String(value)), 'a size such as 2GiB', context)),
);
const duration = z.pipe(
  z.union([z.string(), z.int()]),
  z.transform((value, context) => fromUnit(parseSeconds(String(value)), 'a duration such as 24h', context)),
);
const hook = z
  .string()
  .check(
    z.regex(
      /^(?:\.\/)?(?!\/)(?!.*(?:^|\/)\.\.(?:\/|$))[^\u0000-\u001f]{1,200}$/,
      'must be a path inside the app, such as ./ops/up.sh',
    ),
  );
const PORT = /^(?:(\d{1,3}(?:\.\d{1,3}){3}):)?(\d{1,5}):(\d{1,5})$/;

const limits = {
  memory: z.optional(size),
  cpus: z.optional(z.number().check(z.gt(0), z.maximum(1024))),
  pids: z.optional(z.int().check(z.minimum(16), z.maximum(4_000_000))),
};

export const appFile = z.strictObject({
  start: z._default(z.enum(['always', 'manual']), 'always'),
  engine: z._default(z.literal('process'), 'process'),
  hooks: z._default(z.strictObject({ up: z.optional(hook), down: z.optional(hook), health: z.optional(hook) }), {}),
  ports: z._default(
    z.array(z.string().check(z.regex(PORT, 'must be MACHINE:CELL, such as "80:8080"'))).check(z.maxLength(64)),
    [],
  ),
  limits: z._default(z.strictObject(limits), {}),
  paths: z._default(
    z
      .array(
        z.string().check(z.regex(/^\/(?!.*(?:^|\/)\.\.(?:\/|$))[^\u0000-\u001f]{1,200}$/, 'must be an absolute path')),
      )
      .check(z.maxLength(32)),
    [],
  ),
  fork: z._default(
    z.strictObject({
      ttl: z.optional(duration),
      limits: z._default(z.strictObject({ ...limits, disk: z.optional(size) }), {}),
      egress: z._default(z.union([z.literal('any'), z.array(z.string()).check(z.maxLength(0))]), []),
      prepare: z.optional(hook),
      cleanup: z.optional(hook),
    }),
    { limits: {}, egress: [] },
  ),
});

/** An accepted or proposed file, normalised. */
export type AppFile = z.output<typeof appFile>;

/** Keys of the design whose part does not exist yet. */
const NOT_BUILT = ['compose', 'secrets', 'points', 'fork.idle_stop'] as const;

/** What an app without a file gets. */
export const NO_FILE: AppFile = appFile.parse({});

/** Checks a proposal that a helper in the cell has parsed. Throws `not-built` or `bad-file`, naming the key. */
export function parseAppFile(proposal: unknown): AppFile {
  for (const key of NOT_BUILT)
    if (lookUp(proposal, key) !== undefined)
      throw new AppError('not-built', `Cannot use the key "${key}" of bulkhead.yaml: its part is not built yet`, {
        next: [`remove "${key}" from bulkhead.yaml`],
      });
  const engine = lookUp(proposal, 'engine');
  if (engine === 'docker' || engine === 'podman')
    throw new AppError('not-built', `Cannot use "engine: ${engine}" in bulkhead.yaml: only "process" is built yet`);
  const egress = lookUp(proposal, 'fork.egress');
  if (Array.isArray(egress) && egress.length > 0)
    throw new AppError('not-built', 'Cannot use a list of hosts as "fork.egress": leave it empty, or say "any"');
  const parsed = appFile.safeParse(proposal ?? {});
  if (parsed.success) {
    parsed.data.ports.forEach(parsePort);
    return parsed.data;
  }
  const issue = parsed.error.issues[0];
  const where = issue?.path.join('.') ?? '';
  const keys =
    issue?.code === 'unrecognized_keys'
      ? `unknown key "${issue.keys.join('", "')}"`
      : (issue?.message ?? 'is not valid');
  throw new AppError('bad-file', `bulkhead.yaml${where === '' ? '' : `, "${where}"`}: ${keys}`, {
    next: ['bulkhead help bulkhead.yaml'],
  });
}

/** `80:8080` as numbers. Throws `bad-file` on a port that is none. */
export function parsePort(text: string): { host: number; cell: number; address?: string } {
  const match = PORT.exec(text);
  const host = Number(match?.[2]);
  const cell = Number(match?.[3]);
  if (!match || host < 1 || host > 65_535 || cell < 1 || cell > 65_535)
    throw new AppError('bad-file', `bulkhead.yaml, "ports": "${text}" is not MACHINE:CELL with ports from 1 to 65535`);
  return { host, cell, ...(match[1] === undefined ? {} : { address: match[1] }) };
}

function lookUp(value: unknown, path: string): unknown {
  let at = value;
  for (const key of path.split('.')) {
    if (typeof at !== 'object' || at === null) return undefined;
    at = (at as Record<string, unknown>)[key];
  }
  return at;
}

function fromUnit(value: number | undefined, wanted: string, context: { issues: unknown[]; value: unknown }): number {
  if (value !== undefined) return value;
  context.issues.push({ code: 'custom', message: `must be ${wanted}`, input: context.value });
  return z.NEVER;
}
