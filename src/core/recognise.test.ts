import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { AGENTS, ENVIRONMENT_MARKERS, isWantedVariable, PROGRAM_MARKERS } from './markers.ts';
import { recognise } from './recognise.ts';

type Seen = Parameters<typeof recognise>[0][number];

const seen = (pid: number, more: Partial<Seen> = {}): Seen => ({
  pid,
  ppid: pid - 1,
  comm: 'bash',
  exe: '/usr/bin/bash',
  argv: ['bash'],
  environment: [],
  readable: true,
  ...more,
});
const with_ = (pid: number, variables: Record<string, string>, more: Partial<Seen> = {}): Seen =>
  seen(pid, { environment: Object.entries(variables), ...more });
const claude = (pid: number): Seen => seen(pid, { comm: 'claude', exe: '/usr/bin/node', argv: ['claude'] });

test('says where the marker was set, and the agent above it', () => {
  const marked = { CLAUDECODE: '1' };
  const found = recognise([with_(42_110, marked), with_(41_873, marked), claude(41_790), seen(1000)]);
  assert.equal(found.agent, 'claude-code');
  assert.deepEqual(found.evidence, ['CLAUDECODE=1 in process 41873', 'its parent claude 41790']);
});

test('nothing seen is nobody', () => {
  assert.deepEqual(recognise([seen(3), seen(2)]), { agent: null, evidence: [], hints: [], override: null });
});

test('every strong marker names its agent, every weak one only hints', () => {
  for (const marker of ENVIRONMENT_MARKERS) {
    assert.ok(marker.source.length > 0 && isWantedVariable(marker.variable));
    const value = marker.named
      ? 'crush'
      : typeof marker.value === 'string'
        ? marker.value
        : marker.value
          ? `/x/${marker.value.source.replaceAll('\\', '')}/y`
          : '1';
    const beside = marker.beside ? { [marker.beside.variable]: marker.beside.value ?? 'x' } : {};
    const found = recognise([with_(5, { [marker.variable]: value, ...beside })]);
    if (marker.strength === 'strong') assert.equal(found.agent, marker.named ? 'crush' : marker.agent, marker.variable);
    else {
      assert.equal(found.agent, null, marker.variable);
      assert.equal(found.hints.length, 1, marker.variable);
      assert.ok(!found.hints[0]?.includes('='), 'the value of a weak marker may be a secret');
    }
  }
});

test('a value that switches off is no marker, an unknown name is an agent all the same', () => {
  for (const off of ['', '0', 'false']) assert.equal(recognise([with_(5, { CLAUDECODE: off })]).agent, null);
  assert.equal(recognise([with_(5, { AI_AGENT: 'brand-new' })]).agent, 'agent');
  assert.equal(recognise([with_(5, { AGENT: 'ssh' })]).agent, null);
});

const PROGRAMS: [agent: string, exe: string, argv: string[]][] = [
  ['claude-code', '/usr/bin/node', ['node', '/usr/lib/node_modules/@anthropic-ai/claude-code/cli.js']],
  ['claude-code', '/srv/a/.local/share/claude/versions/2.0.14', ['/srv/a/.local/bin/claude']],
  ['claude-code', '/srv/a/.local/share/claude/versions/2.0.14', ['x']],
  ['claude-code', '/usr/bin/node', ['node', '--max-old-space-size=4096', '/srv/a/claude-code/cli.js', '-p', 'x']],
  ['codex', '/usr/bin/codex', ['codex', 'exec']],
  ['codex', '/usr/bin/node', ['npm', 'exec', '@openai/codex@latest']],
  ['cursor-agent', '/srv/a/.local/share/cursor-agent/versions/1/node', ['node', 'index.js']],
  ['gemini', '/usr/bin/node', ['node', '/usr/bin/gemini']],
  ['aider', '/usr/bin/python3.11', ['python', '-m', 'aider']],
  ['aider', '/usr/bin/python3.11', ['/srv/a/venv/bin/python3', '/srv/a/venv/bin/aider', '--yes']],
  ['opencode', '/srv/a/.opencode/bin/opencode', ['opencode']],
  ['goose', '/usr/local/bin/goose', ['goose', 'session']],
  ['devin', '/opt/.devin/bin/agent', ['agent']],
  ['octofriend', '/usr/bin/node', ['node', '/usr/lib/node_modules/octofriend/dist/source/cli.js']],
  ['droid', '/srv/a/.local/bin/droid', ['droid']],
  ['qwen-code', '/usr/bin/node', ['node', '/usr/lib/node_modules/@qwen-code/qwen-code/dist/index.js']],
  ['claude-code', '/lib64/ld-linux-x86-64.so.2', ['/lib64/ld-linux-x86-64.so.2', '/usr/bin/claude']],
];

test('agents are known by executable, name and script', () => {
  for (const [agent, exe, argv] of PROGRAMS)
    assert.equal(recognise([seen(9), seen(8, { exe, argv, comm: 'x' })]).agent, agent, argv.join(' '));
});

test('what only speaks of an agent is none', () => {
  const innocent: [string, string[]][] = [
    ['/usr/bin/vim', ['vim', '/usr/lib/node_modules/@anthropic-ai/claude-code/cli.js']],
    ['/usr/bin/bash', ['bash', '-c', 'echo claude']],
    ['/usr/bin/grep', ['grep', '-r', 'codex', '.']],
    ['/usr/bin/node', ['node', '-e', 'codex']],
  ];
  for (const [exe, argv] of innocent) assert.equal(recognise([seen(8, { exe, argv })]).agent, null, argv.join(' '));
});

test('an editor with a terminal for people hints only', () => {
  const found = recognise([seen(9), seen(8, { exe: '/usr/share/cursor/cursor', argv: ['cursor'], comm: 'cursor' })]);
  assert.equal(found.agent, null);
  assert.match(found.hints[0] ?? '', /process 8 is cursor/);
});

test('of two agents the nearer one asks', () => {
  const inner = { CLAUDECODE: '1', CODEX_CI: '1' };
  const found = recognise([
    with_(9, inner),
    claude(8),
    with_(7, { CODEX_CI: '1' }),
    seen(6, { exe: '/usr/bin/codex', argv: ['codex'] }),
  ]);
  assert.equal(found.agent, 'claude-code');
  assert.ok(found.evidence.some((fact) => fact.includes('codex')));
});

test('the override is told where it was set, and below whom', () => {
  const set = { BULKHEAD_ALLOW_PRODUCTION: 'shop' };
  const below = recognise([with_(9, { ...set, CLAUDECODE: '1' }), with_(8, { CLAUDECODE: '1' }), claude(7), seen(6)]);
  assert.deepEqual(below.override, { value: 'shop', pid: 9, agentPid: 7 });
  const byLauncher = recognise([with_(9, { ...set, CLAUDECODE: '1' }), claude(7)]);
  assert.equal(byLauncher.override?.agentPid, 7);
  // Granted above, widened below: the value is the one that it has above.
  const above = recognise([with_(9, { BULKHEAD_ALLOW_PRODUCTION: '*', CLAUDECODE: '1' }), claude(7), with_(6, set)]);
  assert.deepEqual(above.override, { value: 'shop', pid: 6, agentPid: null });
});

test('what a process says of itself cannot move a cursor in a message', () => {
  const evil = '\u001b[2J\u202e\n';
  const found = recognise([
    with_(
      9,
      { BULKHEAD_ALLOW_PRODUCTION: evil, AI_AGENT: evil, CLAUDECODE: evil },
      { comm: evil, argv: [evil, `/${evil}claude`] },
    ),
  ]);
  // oxlint-disable-next-line no-control-regex -- exactly these
  assert.doesNotMatch(JSON.stringify(found), /[\u0000-\u001f\u202e]|\\u001b\[2J\\n/);
  assert.doesNotMatch(`${found.evidence.join('')}${found.hints.join('')}${found.override?.value}`, /[\n\u001b\u202e]/);
});

const anyMarker = fc.constantFrom(...ENVIRONMENT_MARKERS.map((marker) => marker.variable), 'HOME', 'X');
const anyEnvironment = fc.array(fc.tuple(anyMarker, fc.constantFrom('', '0', '1', 'crush', 'cat', 'x y')), {
  maxLength: 4,
});
const anyProcess = fc.record({
  pid: fc.integer({ min: 2, max: 99 }),
  ppid: fc.integer({ min: 1, max: 99 }),
  comm: fc.constantFrom('bash', 'claude', 'node', ''),
  exe: fc.constantFrom('/usr/bin/bash', '/usr/bin/codex', null),
  argv: fc.array(fc.constantFrom('bash', '-c', 'claude', '-m', 'aider', 'node', 'x'), { maxLength: 4 }),
  environment: anyEnvironment,
  readable: fc.boolean(),
});
const anyChain = fc.array(anyProcess, { minLength: 1, maxLength: 6 });

test('more markers never make an agent look like nobody', () => {
  fc.assert(
    fc.property(anyChain, fc.nat(5), anyMarker, (chain, at, variable) => {
      const before = recognise(chain).agent;
      const more = chain.map((each, index) =>
        index === at ? { ...each, environment: [...each.environment, [variable, '1'] as const] } : each,
      );
      const after = recognise(more).agent;
      assert.ok(before === null || after !== null);
      assert.ok(after === null || Object.hasOwn(AGENTS, after));
    }),
  );
});

test('a program that is an agent is one whatever its environment and its ancestors are', () => {
  fc.assert(
    fc.property(anyChain, fc.constantFrom(...PROGRAM_MARKERS), (chain, marker) => {
      const self = seen(100, { exe: `/opt/${marker.name}`, argv: [marker.name], comm: marker.name });
      const { agent } = recognise([self, ...chain]);
      if (marker.strength === 'strong') assert.notEqual(agent, null);
    }),
  );
});
