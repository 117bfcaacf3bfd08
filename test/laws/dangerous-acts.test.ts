import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isTest, source, sources, type Source } from './tree.ts';

/** An act that is allowed in few places, because a mistake there is one that root makes. */
interface Law {
  act: string;
  pattern: RegExp;
  /** Where it is allowed. */
  except: readonly RegExp[];
  /** Where it is looked for; all of src/ if absent. */
  within?: RegExp;
  /** Made-up code that breaks it. */
  bites: readonly string[];
}

const LAWS: readonly Law[] = [
  {
    act: 'starting a program',
    pattern: /child_process|\bprocess\.binding\b/,
    except: [
      /^src\/host\/exec\.ts$/,
      /^src\/client\/ssh\.ts$/,
      /^src\/gateway\/run\.ts$/,
      /^src\/guard\/(probes\/.*|shell|resident|install)\.ts$/,
    ],
    bites: ["import { spawn } from 'node:child_process';", "const { spawn } = require('child_process');"],
  },
  {
    act: 'a shell that is given a string',
    pattern: /\bshell: (true|['"])|['"](ba|da|)sh['"], *\[? *['"]-[a-z]*c['"]/,
    except: [],
    bites: ["spawn('x', [], { shell: true });", "exec('sh', ['-c', line]);"],
  },
  {
    act: 'removing a tree',
    pattern:
      /\brecursive: true[^;]*\bforce\b|\b(rm|rmSync|rmdir|rmdirSync)\([^;]*\brecursive\b|['"]rm['"], *\[? *['"]-\w*r/,
    except: [/^src\/host\//],
    bites: [
      'await rm(path, { recursive: true });',
      "exec('rm', ['-rf', path]);",
      'rmSync(p, { force: true, recursive: true });',
    ],
  },
  {
    act: 'a clock, chance or the process, in code that decides: they come in through its arguments',
    pattern:
      /\bDate\.now\(|\bnew Date\(\)|\bMath\.random\(|\bperformance\b|\bset(Timeout|Interval|Immediate)\(|\bprocess\.(env|argv|exit|cwd|hrtime|nextTick|getuid|std\w+)\b|\bcrypto\.|\bconsole\./,
    except: [],
    within: /^src\/(core|contract)\//,
    bites: ['const now = Date.now();', 'if (Math.random() > 0.5) return;', "process.env['HOME']"],
  },
  {
    act: 'loading code by a name that is computed',
    pattern: /\bimport\s*\(\s*(?!['"])|\brequire\s*\(\s*(?!['"])|\bnew Function\(|\beval\(/,
    except: [],
    bites: ['await import(path);', 'require(`./${name}`)'],
  },
  {
    act: 'state of a module that changes: it belongs to what createX returns',
    pattern: /^(export )?(let|var) /m,
    except: [],
    bites: ['let open = 0;', 'export let pool: Pool;'],
  },
  {
    act: 'ending the process from inside: only a main does that',
    pattern: /\bprocess\.(exit|abort|kill)\((?!process\.pid\b)/,
    except: [/^src\/\w+\/main\.ts$/, /^src\/host\//, /^src\/cli\/run\.ts$/],
    bites: ['process.exit(1);', 'process.kill(pid);'],
  },
];

function violations(law: Law, files: readonly Source[]): string[] {
  return files
    .filter((file) => (law.within ?? /^src\//).test(file.path) && !law.except.some((place) => place.test(file.path)))
    .flatMap((file) => {
      const found = law.pattern.exec(file.code);
      if (found === null) return [];
      return [`${file.path}:${file.code.slice(0, found.index).split('\n').length}: ${found[0]}`];
    });
}

const tree = sources('src/**/*.ts').filter((file) => !isTest(file.path) && !file.path.endsWith('.suite.ts'));

for (const law of LAWS) {
  test(`not outside its place: ${law.act}`, () => {
    assert.deepEqual(violations(law, tree), []);
  });

  test(`the law bites: ${law.act}`, () => {
    for (const code of law.bites) assert.equal(violations(law, [source('src/core/made-up.ts', code)]).length, 1, code);
    const remark = law.bites.map((code) => `// ${code}\n`).join('');
    assert.deepEqual(violations(law, [source('src/core/made-up.ts', remark)]), []);
  });
}
