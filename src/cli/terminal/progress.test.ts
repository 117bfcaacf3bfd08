import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPaint } from './paint.ts';
import { createProgress } from './progress.ts';
import type { Terminal } from './terminal.ts';

/** A terminal of 60 columns whose clock the test moves. */
function aTerminal(): { terminal: Terminal; seen: () => string; tick: (ms: number) => void } {
  let shown = '';
  let now = 0;
  const stderr = { isTTY: true, write: (text: string) => ((shown += text), true) };
  const paint = createPaint(stderr, { NO_COLOR: '1' });
  const terminal = {
    stderr,
    paintError: paint,
    widthError: 60,
    now: () => now,
    say: (lines: string[]) => void (shown += lines.map((line) => `${line}\n`).join('')),
  };
  return {
    terminal: terminal as unknown as Terminal,
    seen: () => shown,
    tick: (ms) => void (now += ms),
  };
}

test('a step that takes longer shows on a terminal that it lives, and leaves one line', (context) => {
  context.mock.timers.enable({ apis: ['setInterval'] });
  const { terminal, seen, tick } = aTerminal();
  const progress = createProgress(terminal, 'lines', false);
  progress.event({ type: 'step', key: 'hook', label: 'hook up', state: 'started' });
  tick(1900);
  context.mock.timers.tick(1900);
  assert.equal(seen(), '', 'it is quiet for two seconds');
  tick(1100);
  context.mock.timers.tick(120);
  assert.match(seen(), /^\r\u001b\[2K[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] hook up {2}3 s$/);
  progress.update('hook', '340 MiB of 1.20 GiB, and more words than the line has room for');
  context.mock.timers.tick(120);
  assert.match(seen(), /340 MiB of 1\.20 GiB.*…$/);
  for (const frame of seen().split('\r\u001b[2K')) assert.ok(frame.length < 60, frame);
  progress.event({ type: 'step', key: 'hook', label: 'hook up', state: 'done', ms: 3000 });
  progress.end();
  assert.ok(seen().endsWith('\r\u001b[2K✔ hook up                              3.00 s\n'), JSON.stringify(seen()));
});

test('bookkeeping is said when it fails or takes long, and with -v', () => {
  const lines = (verbose: boolean): string[] => {
    const { terminal, seen } = aTerminal();
    const progress = createProgress(terminal, 'lines', verbose);
    progress.event({ type: 'step', key: 'record.make', label: 'quick', state: 'done', ms: 1 });
    progress.event({ type: 'step', key: 'record.make', label: 'slow', state: 'done', ms: 2500 });
    progress.event({ type: 'step', key: 'record.make', label: 'broken\u001b[2J', state: 'failed', ms: 1 });
    return seen()
      .split('\n')
      .map((line) => line.split(' ')[1] ?? '');
  };
  assert.deepEqual(lines(false), ['slow', 'broken\\u001b[2J', '']);
  assert.deepEqual(lines(true), ['quick', 'slow', 'broken\\u001b[2J', '']);
});
