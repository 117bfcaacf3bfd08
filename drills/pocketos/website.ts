// The customer's side: a website that writes payments to production all the time, and counts what was acknowledged.

import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { globSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';

export interface Website {
  /** What production has acknowledged so far, what failed, and the slowest write in milliseconds. */
  written(): { acknowledged: number; failed: number; slowest: number };
  /** One answer of production, asked beside the writing. */
  ask(query: string): Promise<string>;
  /** References of the writes that were acknowledged. */
  references(): readonly string[];
  stop(): Promise<void>;
}

/** Milliseconds between two writes, and for one. */
const PAUSE = 15;
const DEADLINE = 5000;

/** psql itself: what Debian calls so is a Perl program that looks for it. */
const psql = (): string => globSync('/usr/lib/postgresql/*/bin/psql').sort().at(-1) ?? 'psql';

/** Writes to production's published port until it is stopped. */
export function openWebsite(options: { port: number; password: string; bookings: number }): Website {
  const environment = { PATH: '/usr/bin:/bin', PGPASSWORD: options.password, PGCONNECT_TIMEOUT: '5' };
  const args = ['-h', '127.0.0.1', '-p', String(options.port), '-U', 'website', '-d', 'rental', '-XqAt'];
  const connect = (more: readonly string[] = []): ChildProcessWithoutNullStreams =>
    spawn(psql(), [...args, ...more], { cwd: '/', env: environment, stdio: 'pipe' });
  const acknowledged: string[] = [];
  let failed = 0;
  let slowest = 0;
  let going = true;

  async function write(line: Line, reference: string): Promise<void> {
    const started = performance.now();
    const booking = 1 + (acknowledged.length % options.bookings);
    const answer = await line.send(
      `insert into payments (booking_id, amount, reference) values (${booking}, 49.00, '${reference}') returning reference;`,
    );
    slowest = Math.max(slowest, performance.now() - started);
    if (answer === reference) acknowledged.push(reference);
    else throw new Error(`production answered "${answer}"`);
  }

  async function run(): Promise<void> {
    let line = openLine(connect());
    for (let count = 1; going; count += 1) {
      try {
        await write(line, `live-${count}`);
      } catch {
        // Counted, and tried again on a new connection, as websites do.
        failed += 1;
        line.close();
        await wait(200);
        line = openLine(connect());
      }
      await wait(PAUSE);
    }
    line.close();
  }

  const running = run();
  return {
    written: () => ({ acknowledged: acknowledged.length, failed, slowest }),
    references: () => acknowledged,
    async ask(query) {
      const child = connect(['-c', query]);
      let text = '';
      let said = '';
      child.stdout.on('data', (data: Buffer) => (text += data.toString()));
      child.stderr.on('data', (data: Buffer) => (said += data.toString()));
      const code = await new Promise<number | null>((resolve) => void child.on('close', resolve));
      if (code !== 0) throw new Error(`production does not answer: ${said.trim()}`);
      return text.trim();
    },
    async stop() {
      going = false;
      await running;
    },
  };
}

interface Line {
  /** Sends one statement; the first line of its answer. Throws when there is none in time. */
  send(statement: string): Promise<string>;
  close(): void;
}

/** One connection, one statement at a time. */
function openLine(child: ChildProcessWithoutNullStreams): Line {
  let text = '';
  let wake = (): void => {};
  child.stdout.on('data', (data: Buffer) => {
    text += data.toString();
    if (text.includes('\n')) wake();
  });
  child.on('close', () => wake());
  child.on('error', () => wake());
  child.stdin.on('error', () => {});
  child.stderr.on('data', () => wake());
  return {
    async send(statement) {
      text = '';
      const answered = new Promise<void>((resolve) => (wake = resolve));
      child.stdin.write(`${statement}\n`);
      await Promise.race([answered, wait(DEADLINE, undefined, { ref: false })]);
      const answer = /^(.*)\n/.exec(text)?.[1];
      if (answer === undefined) throw new Error('no answer');
      return answer;
    },
    close: () => void child.kill('SIGKILL'),
  };
}
