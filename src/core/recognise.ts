import type { Override } from './caller.ts';
import {
  AGENTS,
  ENVIRONMENT_MARKERS,
  PATH_MARKERS,
  PROGRAM_MARKERS,
  type AgentName,
  type EnvironmentMarker,
  type Strength,
} from './markers.ts';
import { overrideIn } from './override.ts';

/** A process as it was seen at one moment. What it says of itself (`comm`, `argv`, `environment`) can be forged by it. */
export interface ObservedProcess {
  pid: number;
  ppid: number;
  /** Process group and session (setpgid(2), setsid(2)). */
  group: number;
  session: number;
  /** Controlling terminal as the kernel numbers it; 0: none. */
  tty: number;
  /** The terminal's foreground process group; -1: none. */
  foreground: number;
  /** Milliseconds after boot, suspended time included; the kernel counts in hundredths of a second. */
  started: number;
  /** Changes with every exec. */
  image: string;
  /** Real, effective, saved, filesystem. */
  uids: readonly number[];
  comm: string;
  /** Path of the program's file, from the kernel; null: it cannot be told. */
  exe: string | null;
  /** The first arguments, cut. */
  argv: readonly string[];
  /** Only what `isWantedVariable` names. */
  environment: readonly (readonly [name: string, value: string])[];
  /** False: something of it could not be read, was cut, or changed under the reading. */
  readable: boolean;
}

type Seen = Pick<ObservedProcess, 'pid' | 'ppid' | 'comm' | 'exe' | 'argv' | 'environment' | 'readable'>;

/** What processes look like. Evidence can lower what a caller may do; nothing here can raise it. */
export interface Recognition {
  agent: AgentName | null;
  /** Facts, strongest first: `CLAUDECODE=1 in process 41873`. */
  evidence: string[];
  /** Weak facts: also seen where people work. */
  hints: string[];
  override: Override | null;
}

interface Finding {
  agent: AgentName;
  strength: Strength;
  /** Position in the chain; 0 is the caller. */
  at: number;
  kind: 'environment' | 'program';
  /** `CLAUDECODE=1`, or the program's name. */
  text: string;
}

/** How many facts of a kind are told. */
const MOST = 2;

/**
 * What a caller looks like, by its own process and those above it, nearest first.
 * The nearest agent gives its name: an agent that another one started is the one that asks.
 */
export function recognise(chain: readonly Seen[]): Recognition {
  const findings = [...environmentFindings(chain), ...programFindings(chain)].sort((a, b) => a.at - b.at);
  const strong = findings.filter((finding) => finding.strength === 'strong');
  const named = strong.find((finding) => finding.agent !== 'agent') ?? strong[0];
  const agent = named?.agent ?? null;
  // The first process is nobody's agent: that it cannot be read (in a container, say) tells a person nothing.
  const unread = chain
    .filter((seen) => !seen.readable && seen.pid !== 1)
    .map((seen) => `process ${seen.pid} could not be read`);
  return {
    agent,
    evidence: [
      ...facts(
        strong.filter((finding) => finding.agent === agent),
        chain,
      ),
      ...facts(
        strong.filter((finding) => finding.agent !== agent),
        chain,
      ),
      ...unread.slice(0, MOST),
    ],
    hints: findings
      .filter((finding) => finding.strength === 'weak')
      .slice(0, MOST)
      .map((finding) => `${sentence(finding, chain)}, as in ${AGENTS[finding.agent]} and where people work`),
    override: overrideIn(chain, strong),
  };
}

/** One finding for each variable, at the outermost process that carries it: nearest to who set it. */
function environmentFindings(chain: readonly Seen[]): Finding[] {
  const outermost = new Map<string, Finding>();
  chain.forEach((seen, at) => {
    for (const marker of ENVIRONMENT_MARKERS) {
      const value = valueOf(marker, seen.environment);
      if (value === undefined) continue;
      const agent = marker.named === undefined ? marker.agent : (agentCalled(value) ?? marker.agent);
      const text = marker.strength === 'strong' && PLAIN.test(value) ? `${marker.variable}=${value}` : marker.variable;
      outermost.set(`${marker.variable} ${marker.strength}`, {
        agent,
        strength: marker.strength,
        at,
        kind: 'environment',
        text,
      });
    }
  });
  return [...outermost.values()];
}

/** A value that may be told: short, and no secret. */
const PLAIN = /^[\w.-]{1,16}$/;
const OFF = new Set(['', '0', 'false']);

function valueOf(marker: EnvironmentMarker, environment: Seen['environment']): string | undefined {
  const found = environment.find(([name, value]) => name === marker.variable && fits(marker, value))?.[1];
  if (found === undefined || marker.beside === undefined) return found;
  const { variable, value } = marker.beside;
  return environment.some(([name, is]) => name === variable && (value === undefined || is === value))
    ? found
    : undefined;
}

function fits(marker: EnvironmentMarker, value: string): boolean {
  if (marker.named === 'known') return agentCalled(value) !== undefined;
  if (marker.value === undefined) return !OFF.has(value);
  return typeof marker.value === 'string' ? marker.value === value : marker.value.test(value);
}

const PROGRAMS = new Map(PROGRAM_MARKERS.map((marker) => [marker.name, marker]));

function agentCalled(text: string): AgentName | undefined {
  const name = text.trim().toLowerCase();
  if (Object.hasOwn(AGENTS, name)) return name as AgentName;
  return PROGRAMS.get(name)?.agent;
}

function programFindings(chain: readonly Seen[]): Finding[] {
  return chain.flatMap((seen, at): Finding[] => {
    const marker = programOf(seen);
    return marker === undefined ? [] : [{ ...marker, at, kind: 'program' }];
  });
}

function programOf(seen: Seen): Pick<Finding, 'agent' | 'strength' | 'text'> | undefined {
  const script = interpreted(seen.argv);
  const names = [seen.exe, seen.argv[0], seen.comm, script.operand].map((text) => baseName(text ?? ''));
  const markers = names.flatMap((name) => PROGRAMS.get(name) ?? []);
  const marker = markers.find((each) => each.strength === 'strong') ?? markers[0];
  if (marker?.strength === 'strong') return { agent: marker.agent, strength: 'strong', text: marker.name };
  const paths = [seen.exe ?? '', seen.argv[0] ?? '', ...script.all];
  const known = PATH_MARKERS.find(({ path }) => paths.some((text) => path.test(text)));
  if (known !== undefined) return { agent: known.agent, strength: 'strong', text: known.agent };
  return marker === undefined ? undefined : { agent: marker.agent, strength: marker.strength, text: marker.name };
}

/** A program's bare name: `/usr/bin/claude`, `-claude`, `claude.js`, `claude (deleted)` are all `claude`. */
const baseName = (text: string): string =>
  text
    .replace(/ \(deleted\)$/, '')
    .replace(/^-/, '')
    .split('/')
    .at(-1)!
    .split(/[@\s]/)[0]!
    .replace(/\.(?:c?js|mjs|ts|py|exe|sh)$/, '')
    .toLowerCase();

const INTERPRETER =
  /^(?:node|nodejs|bun|bunx|deno|tsx|npx|npm|pnpm|yarn|uv|uvx|pipx|python[\d.]*|pypy[\d.]*|ruby|perl|env|sh|bash|dash|zsh|ld-linux.*|ld-musl.*)$/;
const SUBCOMMAND = new Set(['exec', 'run', 'x', 'dlx', 'tool']);

/** The script that an interpreter runs, and all its arguments; nothing for other programs. */
function interpreted(argv: readonly string[]): { operand?: string; all: readonly string[] } {
  if (!INTERPRETER.test(baseName(argv[0] ?? ''))) return { all: [] };
  const all = argv.slice(1);
  for (const [index, word] of all.entries()) {
    // The text of a command is no name of a program.
    if (/^-(?:[a-z]*c|e|p|-eval|-print)$/.test(word)) return { all: all.slice(0, index) };
    if (word === '-m') return { operand: (all[index + 1] ?? '').split('.')[0] ?? '', all };
    if (!word.startsWith('-') && !SUBCOMMAND.has(word)) return { operand: word, all };
  }
  return { all };
}

function facts(findings: readonly Finding[], chain: readonly Seen[]): string[] {
  const variables = findings.filter((finding) => finding.kind === 'environment').slice(0, MOST);
  const programs = findings.filter((finding) => finding.kind === 'program').slice(0, MOST);
  const last = variables.at(-1);
  return [
    ...variables.map((finding) => sentence(finding, chain)),
    ...programs.map((finding) =>
      last !== undefined && finding.at === last.at + 1
        ? `its parent ${finding.text} ${chain[finding.at]?.pid}`
        : sentence(finding, chain),
    ),
  ];
}

const sentence = (finding: Finding, chain: readonly Seen[]): string =>
  finding.kind === 'environment'
    ? `${finding.text} in process ${chain[finding.at]?.pid}`
    : `process ${chain[finding.at]?.pid} is ${finding.text}`;
