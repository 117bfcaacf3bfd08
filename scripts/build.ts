// Makes the programs that ./bulkhead runs: one CommonJS file each in dist/.
//
// CommonJS and one file because of start-up (44 ms to an answer against 67 as one ES module and 110
// unbundled): since Node 22 an ES import of node:http loads all of undici.
// koffi stays outside: it is found in node_modules above dist/. A release ships it the same way, as
// dist/ beside a node_modules/ with koffi and the one @koromix/koffi-* package of its architecture.

import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
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

/** Bundles every program into dist/. Each is replaced by a rename, so one that starts meanwhile reads a whole file. */
export async function bundle(): Promise<{ built: string[]; absent: string[] }> {
  const names = Object.entries(PROGRAMS);
  const entries = names.filter(([, source]) => existsSync(`${ROOT}${source}`));
  const absent = names.filter(([, source]) => !existsSync(`${ROOT}${source}`)).map(([, source]) => source);
  const result = await build({
    absWorkingDir: ROOT,
    entryPoints: Object.fromEntries(entries),
    outdir: 'dist',
    outExtension: { '.js': '.cjs' },
    bundle: true,
    write: false,
    platform: 'node',
    target: 'node24',
    format: 'cjs',
    external: ['koffi'],
    loader: { '.sql': 'text' },
    legalComments: 'none',
    logLevel: 'warning',
  });
  const files = result.outputFiles.map((file) => ({ path: file.path, text: file.text }));
  await mkdir(`${ROOT}dist`, { recursive: true });
  // Node reads the nearest package.json for every file it loads; this one ends the search and says CommonJS.
  files.push({ path: `${ROOT}dist/package.json`, text: '{ "type": "commonjs" }\n' });
  await Promise.all(files.map(replace));
  await removeOthers(new Set(files.map((file) => file.path)));
  return { built: entries.map(([name]) => name), absent };
}

async function replace(file: { path: string; text: string }): Promise<void> {
  const before = await readFile(file.path, 'utf8').catch(() => undefined);
  if (before === file.text) return;
  const aside = `${file.path}.${process.pid}.new`;
  await writeFile(aside, file.text);
  await rename(aside, file.path);
}

async function removeOthers(wanted: Set<string>): Promise<void> {
  for (const name of await readdir(`${ROOT}dist`)) {
    const path = `${ROOT}dist/${name}`;
    if (!wanted.has(path) && !name.endsWith('.new')) await rm(path, { recursive: true });
  }
}

if (import.meta.main) {
  const { absent } = await bundle();
  if (absent.length > 0) {
    console.error(`✘ Cannot build all of dist/: missing ${absent.join(', ')}`);
    process.exitCode = 1;
  }
}
