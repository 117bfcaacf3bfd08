// Makes the programs that ./bulkhead runs: one CommonJS file each in dist/.
//
// CommonJS and one file because of start-up (44 ms to an answer against 67 as one ES module and 110
// unbundled): since Node 22 an ES import of node:http loads all of undici.
// koffi stays outside: it is found in node_modules above dist/. A release ships it the same way, as
// dist/ beside a node_modules/ with koffi and the one @koromix/koffi-* package of its architecture.

import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** The programs, by the name of their file in dist/. */
export const PROGRAMS = {
  bulkhead: 'src/cli/main.ts',
  bulkheadd: 'src/daemon/main.ts',
  'attach-worker': 'src/host/cells/attach-worker.ts',
  'cell-helper': 'src/host/cells/helper.ts',
} as const;

/** Bundles every program into dist/. Returns those that could not be built; esbuild has said why. */
export async function bundle(): Promise<string[]> {
  await mkdir(`${ROOT}dist`, { recursive: true });
  const names = Object.keys(PROGRAMS) as (keyof typeof PROGRAMS)[];
  const made = await Promise.allSettled(names.map(program));
  // Node looks for the nearest package.json of what it loads; this one ends the search and says CommonJS.
  await replace(`${ROOT}dist/package.json`, '{ "type": "commonjs" }\n');
  await removeOthers(new Set(['package.json', ...names.map((name) => `${name}.cjs`)]));
  return names.filter((_, at) => made[at]?.status === 'rejected');
}

async function program(name: keyof typeof PROGRAMS): Promise<void> {
  const result = await build({
    absWorkingDir: ROOT,
    entryPoints: [PROGRAMS[name]],
    outfile: `dist/${name}.cjs`,
    bundle: true,
    write: false,
    platform: 'node',
    target: 'node24',
    format: 'cjs',
    external: ['koffi'],
    minifyWhitespace: name === 'bulkhead',
    // The command line checks nothing that the daemon checks: 10 ms less of every start.
    alias: name === 'bulkhead' ? { 'zod/mini': './src/cli/no-schemas.ts' } : {},
    legalComments: 'none',
    logLevel: 'warning',
  });
  for (const file of result.outputFiles) await replace(file.path, file.text);
}

// By a rename, so that a program which starts meanwhile reads a whole file; what did not change stays.
async function replace(path: string, text: string): Promise<void> {
  const before = await readFile(path, 'utf8').catch(() => undefined);
  if (before === text) return;
  const aside = `${path}.${process.pid}.new`;
  await writeFile(aside, text);
  await rename(aside, path);
}

async function removeOthers(wanted: Set<string>): Promise<void> {
  for (const name of await readdir(`${ROOT}dist`)) {
    if (!wanted.has(name) && !name.endsWith('.new')) await rm(`${ROOT}dist/${name}`, { recursive: true });
  }
}

if (import.meta.main) {
  const failed = await bundle();
  if (failed.length > 0) {
    console.error(`✘ Cannot build ${failed.map((name) => `dist/${name}.cjs`).join(', ')}`);
    process.exitCode = 1;
  }
}
