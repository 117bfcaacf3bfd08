// Programs that the gates start, and what came of them.

import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** What came of one part of a gate. `output` is for whoever has to find out why it failed. */
export interface Outcome {
  name: string;
  passed: number;
  failed: number;
  ms: number;
  output: string;
}

export interface Ended {
  /** Exit code; 124 after the deadline. */
  code: number;
  stdout: string;
  output: string;
  ms: number;
}

/** Runs a program in the project's root to its end, or kills it and all that it started in its group. Deadline in milliseconds. */
export function run(program: string, args: readonly string[], deadline: number): Promise<Ended> {
  const started = performance.now();
  return new Promise((resolve) => {
    // Node's test runner does nothing where it finds that it runs below another.
    const env = { ...process.env };
    delete env['NODE_TEST_CONTEXT'];
    // A group of its own, so that what it started ends with it.
    const child = spawn(program, args, { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    let stdout = '';
    let output = '';
    let late = false;
    const kill = (signal: NodeJS.Signals) => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, signal);
      } catch {
        // it has ended meanwhile
      }
    };
    const timer = setTimeout(() => {
      late = true;
      kill('SIGTERM');
      setTimeout(kill, 5000, 'SIGKILL').unref();
    }, deadline);
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
      output += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.on('error', (error) => (output += `${error.message}\n`));
    child.on('close', (code) => {
      clearTimeout(timer);
      if (late) output += `did not end within ${deadline / 1000} s\n`;
      resolve({ code: late ? 124 : (code ?? 1), stdout, output, ms: performance.now() - started });
    });
  });
}

/** Runs a program that is one check: good, or not. */
export async function check(
  name: string,
  program: string,
  args: readonly string[],
  deadline = 120_000,
): Promise<Outcome> {
  const { code, output, ms } = await run(program, args, deadline);
  return { name, passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, ms, output };
}

/** Runs test files in one process and counts their tests. A skipped test counts as failed: it showed nothing. */
export async function tests(name: string, files: readonly string[], deadline: number): Promise<Outcome> {
  const folder = await mkdtemp(`${tmpdir()}/bulkhead-gate-`);
  const tap = `${folder}/tap`;
  const reporters = [
    '--test-reporter=spec',
    '--test-reporter-destination=stdout',
    '--test-reporter=tap',
    `--test-reporter-destination=${tap}`,
  ];
  const ended = await run(process.execPath, ['--test', '--test-isolation=none', ...reporters, ...files], deadline);
  const counts = countTap(await readFile(tap, 'utf8').catch(() => ''));
  await rm(folder, { recursive: true });
  return judge(name, ended, counts);
}

/** What the closing lines of TAP say. A file without a test is reported as one that passed, by its path: it does not count. */
export function countTap(text: string): { passed: number; failed: number } {
  const count = (word: string) => Number(new RegExp(`^# ${word} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
  const empty = text.match(/^ok \d+ - \S+\.test\.m?ts$/gm)?.length ?? 0;
  return {
    passed: count('pass') - empty,
    failed: count('fail') + count('cancelled') + count('skipped') + count('todo'),
  };
}

function judge(name: string, ended: Ended, counts: { passed: number; failed: number }): Outcome {
  let { failed } = counts;
  let output = withoutGood(ended.output);
  // A file that ends badly without a failed test, or that has no test, has still not passed.
  if (failed === 0 && (ended.code !== 0 || counts.passed === 0)) failed = 1;
  if (counts.passed + counts.failed === 0) output += 'no test ran\n';
  return { name, passed: counts.passed, failed, ms: ended.ms, output };
}

// What went well is not for whoever looks for what did not. The reporter tells failures in full at the end.
function withoutGood(output: string): string {
  const [, failures] = output.split('✖ failing tests:\n');
  return failures ?? output.replace(/^ *[✔ℹ▶].*\n/gm, '');
}

/** One line for a person. */
export function line(outcome: Outcome): string {
  const seconds = `${(outcome.ms / 1000).toFixed(1)} s`;
  const counted = `${outcome.passed} passed${outcome.failed > 0 ? `, ${outcome.failed} failed` : ''}`;
  return `${outcome.failed > 0 ? '✘' : '✔'} ${outcome.name.padEnd(48)} ${counted.padEnd(24)} ${seconds.padStart(8)}`;
}

/** Prints each part as it ends, and in full what failed. */
export function report(outcome: Outcome): void {
  console.log(line(outcome));
  if (outcome.failed > 0) console.log(outcome.output.trimEnd().replace(/^/gm, '    '));
}

/** Prints the count that closes every gate, and sets the exit code: good only if something passed and nothing failed. */
export function close(outcomes: readonly Outcome[], started: number): void {
  const sum = (pick: (outcome: Outcome) => number) => outcomes.reduce((total, outcome) => total + pick(outcome), 0);
  const passed = sum((outcome) => outcome.passed);
  const failed = sum((outcome) => outcome.failed);
  console.log(`in ${((performance.now() - started) / 1000).toFixed(1)} s`);
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
}
