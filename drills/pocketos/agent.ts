// The scripted agent: a process named `claude`, and below it one shell for each command, with CLAUDECODE=1.

import { startApart } from './apart.ts';
import type { Who } from './stage.ts';

export interface Ran {
  code: number;
  stdout: string;
  stderr: string;
  /** From the command line's arrival to its end, every process included. */
  ms: number;
}

export interface Agent {
  run(line: string, deadline?: number): Promise<Ran>;
  close(): void;
}

// Output goes through pipes of its own; a separator ends what belongs to one command.
const END = '\u001e';
const LOOP = `while IFS= read -r line; do
  CLAUDECODE=1 bash -c "$line" >&4 2>&5 4>&- 5>&- </dev/null
  code=$?; printf '${END}' >&4; printf '${END}' >&5; echo "$code"
done`;

/** `program`: a bash that is called claude, as the agent's own program is. */
export function startAgent(who: Who, program: string): Agent {
  const { input, outputs } = startApart(who, [], [program, '-c', LOOP]);
  const texts = ['', '', ''];
  outputs.forEach((stream, at) => stream.on('data', (data: Buffer) => (texts[at] += data.toString())));

  const ended = (): boolean => texts[0]!.endsWith('\n') && texts[1]!.endsWith(END) && texts[2]!.endsWith(END);
  return {
    async run(line, deadline = 60_000) {
      texts.fill('');
      const started = performance.now();
      input.write(`${line}\n`);
      while (!ended()) {
        if (performance.now() - started > deadline)
          throw new Error(`The agent's command did not end: ${line}\n${texts.join('\n')}`);
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
      const ms = performance.now() - started;
      const [code, stdout, stderr] = texts.map((text) => text.replaceAll(END, ''));
      return { code: Number(code), stdout: stdout ?? '', stderr: stderr ?? '', ms };
    },
    close: () => void input.end(),
  };
}
