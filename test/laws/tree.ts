// The sources as the laws see them.

import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export interface Source {
  /** From the project's root: `src/core/plans.ts`. */
  path: string;
  text: string;
  /** Without comments, so that words in them break no law; as many lines as the text. */
  code: string;
  /** What it imports, as written: `../contract/names.ts`, `node:fs`. Types and dynamic imports count. */
  imports: string[];
}

/** A file as it would be read, for a made-up violation. */
export function source(path: string, text: string): Source {
  const code = withoutComments(text);
  return { path, text, code, imports: importsOf(code) };
}

/** All files that match. */
export function sources(...patterns: string[]): Source[] {
  const paths = globSync(patterns, { cwd: ROOT }).sort();
  return paths.map((path) => source(path, readFileSync(`${ROOT}${path}`, 'utf8')));
}

/** Whether a file is a test or made for tests. */
export const isTest = (path: string): boolean => path.endsWith('.test.ts') || path.startsWith('test/');

/** The path that a relative import means, from the project's root; others unchanged. */
export function resolved(from: string, written: string): string {
  if (!written.startsWith('.')) return written;
  return new URL(written, `file:///${from}`).pathname.slice(1);
}

function importsOf(code: string): string[] {
  const pattern = /(?:\bfrom\s+|\bimport\s*\(?\s*|\brequire\s*\(\s*)(['"])([^'"$\n]+)\1/g;
  return [...code.matchAll(pattern)].map((match) => match[2] ?? '');
}

// Strings are kept whole: "//" in one is no comment.
function withoutComments(text: string): string {
  const pattern = /('(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`)|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g;
  return text.replace(pattern, (match, string: string | undefined) => string ?? match.replace(/[^\n]/g, ''));
}
