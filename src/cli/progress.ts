import type { ProgressEvent } from '../contract/events.ts';
import { escapeText } from '../contract/names.ts';
import { formatMs } from '../contract/units.ts';
import type { Context } from './context.ts';
import { paintFor } from './terminal.ts';

/** Shows steps as they finish, with their times; one over two seconds shows that it lives. */
export interface Progress {
  event(event: ProgressEvent): void;
  /** Takes away what moves; before anything else is printed. */
  stop(): void;
}

const LIVES_AFTER = 2000;
const COLUMN = 52;

export function createProgress(context: Context, json: boolean): Progress {
  const { stdout, stderr } = context.process;
  if (json) return { event: (event) => void stdout.write(`${JSON.stringify(event)}\n`), stop: () => {} };
  const paint = paintFor(stderr, context.process.env);
  let timer: NodeJS.Timeout | undefined;
  let moving = false;
  const clear = (): void => {
    clearInterval(timer);
    timer = undefined;
    if (moving) stderr.write('\r\u001b[K');
    moving = false;
  };
  const live = (label: string): void => {
    if (stderr.isTTY !== true) return;
    const started = performance.now();
    timer = setInterval(() => {
      const passed = performance.now() - started;
      if (passed < LIVES_AFTER) return;
      moving = true;
      stderr.write(`\r\u001b[K  ${label} … ${Math.round(passed / 1000)} s`);
    }, 500);
    timer.unref();
  };

  return {
    stop: clear,
    event(event) {
      clear();
      if (event.type === 'note') {
        const mark = event.level === 'warn' ? paint.warn('!') : ' ';
        stderr.write(`${mark} ${escapeText(event.text)}\n`);
        return;
      }
      const label = escapeText(event.label);
      if (event.state === 'started') return live(label);
      const mark = event.state === 'done' ? paint.good('✔') : paint.bad('✘');
      const detail = event.detail === undefined ? '' : `  (${escapeText(event.detail)})`;
      stderr.write(`${mark} ${label.padEnd(COLUMN)} ${formatMs(event.ms ?? 0).padStart(8)}${detail}\n`);
    },
  };
}
