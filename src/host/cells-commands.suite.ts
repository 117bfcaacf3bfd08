import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Script, ScriptIo } from './memory/cells.ts';

/** Every command of the suite, for a shell and as a function. */
export const COMMANDS: Record<string, { shell: string; script: (io: ScriptIo) => Promise<number> }> = {
  three: {
    shell: 'echo out; echo err >&2; exit 3',
    script: async ({ stdout, stderr }) => {
      stdout('out\n');
      stderr('err\n');
      return 3;
    },
  },
  copy: {
    shell: 'cat; echo end',
    script: async ({ stdin, stdout }) => {
      for await (const chunk of stdin) stdout(String(chunk));
      stdout('end\n');
      return 0;
    },
  },
  stay: {
    shell: 'sleep 1000',
    script: (io) => new Promise((resolve) => io.ended.addEventListener('abort', () => resolve(1))),
  },
  trap: {
    shell: 'trap "echo got; exit 7" INT; echo ready; while :; do sleep 0.01; done',
    script: async ({ signalled, stdout }) => {
      const name = signalled();
      stdout('ready\n');
      assert.equal(await name, 'SIGINT');
      stdout('got\n');
      return 7;
    },
  },
  flood: {
    shell: 'head -c 100000 /dev/zero; sleep 1000',
    script: async ({ stdout, ended }) => {
      stdout('\0'.repeat(100_000));
      await once(ended, 'abort');
      return 1;
    },
  },
  variables: {
    shell: 'echo "$BULKHEAD_REF $EXTRA"',
    script: async ({ environment, stdout }) => {
      stdout(`${environment['BULKHEAD_REF']} ${environment['EXTRA']}\n`);
      return 0;
    },
  },
  lines: {
    shell: 'for i in 1 2 3 4 5; do echo "line $i"; done; echo oops >&2',
    script: async ({ stdout, stderr }) => {
      for (const i of [1, 2, 3, 4, 5]) stdout(`line ${i}\n`);
      stderr('oops\n');
      return 0;
    },
  },
  size: {
    shell: 'stty size; read -r go; stty size',
    script: async ({ size, stdin, stdout }) => {
      stdout(`${size()?.rows} ${size()?.columns}\r\n`);
      await once(stdin, 'data');
      stdout(`${size()?.rows} ${size()?.columns}\r\n`);
      return 0;
    },
  },
};

/** The suite's commands for the twin. */
export const suiteScript: Script = (io) => {
  const found = Object.values(COMMANDS).find(({ shell }) => shell === io.command[2]);
  return found?.script(io);
};
