import type { ProgressEvent, StepEvent } from '../../contract/events.ts';
import { escapeText } from '../../contract/names.ts';
import { formatMs, formatSeconds } from '../../contract/units.ts';
import type { Terminal } from './terminal.ts';
import { cut } from './text.ts';

/** Steps as they finish, with their time; one that takes longer shows that it lives. */
export interface Progress {
  event(event: ProgressEvent): void;
  /** A new word on a step that is on its way: `340 MiB of 1.2 GiB`. */
  update(key: string, detail: string): void;
  /** Takes away the moving line. Before anything else is written. */
  end(): void;
}

/** How progress is told. `quiet`: not at all, since standard error is a command's own. */
export type Manner = 'lines' | 'json' | 'quiet';

/** Milliseconds until a step shows that it lives, and between two frames. */
const PATIENCE = 2000;
const FRAME = 120;
const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const LABEL = 34;
/** Bookkeeping. */
const INNER = /^(record|manifest)\./;

/** `inner`: keys of steps that say nothing to whoever waits, unless they fail, take long, or `-v` asks for them. */
export function createProgress(terminal: Terminal, manner: Manner, verbose: boolean, inner = INNER): Progress {
  if (manner === 'quiet') return { event: () => {}, update: () => {}, end: () => {} };
  if (manner === 'json') return { event: (event) => terminal.json(event), update: () => {}, end: () => {} };
  const { paintError: paint } = terminal;
  const live = createLiveLine(terminal);

  const step = (event: StepEvent): void => {
    if (event.state === 'started') return live.start(event.key, escapeText(event.label));
    live.stop(event.key);
    const quick = (event.ms ?? 0) < PATIENCE;
    if (event.state === 'done' && quick && !verbose && inner.test(event.key)) return;
    const mark = event.state === 'done' ? paint.good('✔') : paint.bad('✘');
    const time = event.ms === undefined ? '' : formatMs(event.ms).padStart(8);
    const detail = event.detail === undefined ? '' : paint.dim(`  (${escapeText(event.detail)})`);
    terminal.say([`${mark} ${escapeText(event.label).padEnd(LABEL)} ${time}${detail}`.trimEnd()]);
  };

  return {
    event(event) {
      live.clear();
      if (event.type === 'step') step(event);
      else terminal.say([`${event.level === 'warn' ? paint.warn('!') : ' '} ${escapeText(event.text)}`]);
    },
    update: (key, detail) => live.update(key, detail),
    end: () => live.end(),
  };
}

/** The one line that moves; it exists on a terminal only. */
function createLiveLine({ stderr, widthError: width, paintError: paint, now }: Terminal) {
  const steps = new Map<string, { label: string; since: number; detail: string }>();
  let timer: NodeJS.Timeout | undefined;
  let drawn = false;
  let frame = 0;
  const clear = (): void => {
    if (drawn) stderr.write('\r\u001b[2K');
    drawn = false;
  };
  const draw = (): void => {
    const [oldest] = steps.values();
    if (oldest === undefined || width === undefined) return;
    const passed = now() - oldest.since;
    if (passed < PATIENCE) return;
    frame = (frame + 1) % FRAMES.length;
    const detail = oldest.detail === '' ? '' : `  ${oldest.detail}`;
    const text = cut(`${oldest.label}  ${formatSeconds(passed / 1000)}${detail}`, width - 3);
    stderr.write(`\r\u001b[2K${paint.dim(`${FRAMES[frame]} ${text}`)}`);
    drawn = true;
  };
  return {
    clear,
    start(key: string, label: string) {
      if (width === undefined) return;
      steps.set(key, { label, since: now(), detail: '' });
      timer ??= setInterval(draw, FRAME);
      timer.unref();
    },
    update(key: string, detail: string) {
      const step = steps.get(key);
      if (step !== undefined) step.detail = detail;
    },
    stop: (key: string) => void steps.delete(key),
    end() {
      clearInterval(timer);
      timer = undefined;
      steps.clear();
      clear();
    },
  };
}
