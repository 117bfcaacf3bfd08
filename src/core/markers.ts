/**
 * What agents leave behind in the processes that they start. Data with sources:
 * none of it is a wall, anyone can set or clear it. It names an agent, so that a
 * refusal can say what was seen, and it can only ever lower what a caller may do.
 */

/** The agents that can be named, and how a person calls them. */
export const AGENTS = {
  agent: 'an AI agent',
  aider: 'Aider',
  amp: 'Amp',
  antigravity: 'Antigravity',
  auggie: 'Auggie',
  bolt: 'Bolt',
  'claude-code': 'Claude Code',
  'claude-cowork': 'Claude Cowork',
  cline: 'Cline',
  codex: 'Codex',
  copilot: 'GitHub Copilot',
  crush: 'Crush',
  cursor: 'Cursor',
  'cursor-agent': 'Cursor Agent',
  devin: 'Devin',
  droid: 'Factory Droid',
  gemini: 'Gemini CLI',
  goose: 'Goose',
  jules: 'Jules',
  junie: 'Junie',
  kiro: 'Kiro',
  octofriend: 'Octofriend',
  opencode: 'OpenCode',
  openhands: 'OpenHands',
  pi: 'Pi',
  'qwen-code': 'Qwen Code',
  replit: 'Replit',
  v0: 'v0',
  windsurf: 'Windsurf',
  zed: 'Zed',
} as const;
export type AgentName = keyof typeof AGENTS;

/** How a person calls an agent; the name itself where it is none of ours. */
export const agentTitle = (name: string): string => (Object.hasOwn(AGENTS, name) ? AGENTS[name as AgentName] : name);

/** `weak`: also found where people work (an editor's terminal, a profile); it hints and changes nothing. */
export type Strength = 'strong' | 'weak';

/** A variable that an agent sets for what it starts. */
export interface EnvironmentMarker {
  variable: string;
  /** Exactly this, or like this; absent: anything but empty, `0` and `false`. */
  value?: string | RegExp;
  /** Counts only where this stands beside it. */
  beside?: { variable: string; value?: string };
  agent: AgentName;
  /** The value is the agent's name, where we know it; else `agent`. */
  named?: 'known' | 'any';
  strength: Strength;
  source: string;
}

const DETECT = '@vercel/detect-agent 1.2.7';
const STD = 'std-env 4.3.0';
const VIBING = 'am-i-vibing 0.5.0';
const CDK = 'aws/aws-cdk-cli#1855';

type Row = [variable: string, agent: AgentName, source: string, more?: Partial<EnvironmentMarker>];
const WEAK = { strength: 'weak' } as const;

const ENVIRONMENT: readonly Row[] = [
  ['AI_AGENT', 'agent', DETECT, { named: 'any' }],
  ['AGENT', 'agent', VIBING, { named: 'known' }],
  // Before the one it comes with: the first of several in one process names the agent.
  ['CLAUDE_CODE_IS_COWORK', 'claude-cowork', DETECT],
  ['CLAUDECODE', 'claude-code', `${DETECT}, ${STD}, ${VIBING}`],
  ['CLAUDE_CODE', 'claude-code', `${DETECT}, ${STD}`],
  ['CLAUDE_CODE_ENTRYPOINT', 'claude-code', CDK],
  ['CURSOR_AGENT', 'cursor-agent', `${DETECT}, ${STD}`],
  ['CURSOR_EXTENSION_HOST_ROLE', 'cursor-agent', DETECT, { value: 'agent-exec' }],
  ['CURSOR_TRACE_ID', 'cursor-agent', VIBING, { beside: { variable: 'PAGER', value: 'head -n 10000 | cat' } }],
  // Cursor sets it for the terminals that people type in as well.
  ['CURSOR_TRACE_ID', 'cursor', `${DETECT}, ${VIBING}`, WEAK],
  ['GEMINI_CLI', 'gemini', `${DETECT}, ${STD}, ${VIBING}`],
  ['CODEX_SANDBOX', 'codex', `${DETECT}, ${STD}`],
  ['CODEX_CI', 'codex', DETECT],
  ['CODEX_THREAD_ID', 'codex', `${DETECT}, ${STD}, ${VIBING}`],
  ['COPILOT_AGENT', 'copilot', STD],
  ['COPILOT_CLI', 'copilot', STD],
  // Settings that people keep in their profile.
  ['COPILOT_MODEL', 'copilot', DETECT, WEAK],
  ['COPILOT_ALLOW_ALL', 'copilot', DETECT, WEAK],
  ['COPILOT_GITHUB_TOKEN', 'copilot', DETECT, WEAK],
  ['GIT_PAGER', 'copilot', VIBING, { ...WEAK, value: 'cat', beside: { variable: 'TERM_PROGRAM', value: 'vscode' } }],
  ['OPENCODE', 'opencode', `${DETECT}, ${STD}, ${VIBING}`],
  ['OPENCODE_CLIENT', 'opencode', DETECT],
  ['OPENCODE_SERVER', 'opencode', VIBING],
  ['OPENCODE_APP_INFO', 'opencode', VIBING],
  ['OPENCODE_MODES', 'opencode', VIBING],
  ['OPENCODE_BIN_PATH', 'opencode', VIBING],
  ['AUGMENT_AGENT', 'auggie', `${DETECT}, ${STD}, ${VIBING}`],
  ['ANTIGRAVITY_AGENT', 'antigravity', `${DETECT}, ${VIBING}`],
  ['ANTIGRAVITY_PROJECT_ID', 'antigravity', VIBING, WEAK],
  ['GOOSE_TERMINAL', 'goose', CDK],
  ['GOOSE_PROVIDER', 'goose', STD, WEAK],
  ['QWEN_CODE', 'qwen-code', VIBING],
  ['CRUSH', 'crush', VIBING],
  ['AMP_CURRENT_THREAD_ID', 'amp', VIBING],
  ['PI_CODING_AGENT', 'pi', VIBING],
  ['PATH', 'pi', STD, { value: /\.pi\/agent/ }],
  ['CLINE_ACTIVE', 'cline', CDK],
  ['JUNIE_DATA', 'junie', STD],
  ['JUNIE_SHIM_PATH', 'junie', STD],
  ['CODEIUM_EDITOR_APP_ROOT', 'windsurf', VIBING, WEAK],
  ['REPLIT_MODE', 'replit', VIBING, { value: 'assistant', beside: { variable: 'REPL_ID' } }],
  ['REPL_ID', 'replit', `${DETECT}, ${STD}, ${VIBING}`, WEAK],
  ['EDITOR', 'devin', STD, { ...WEAK, value: /devin/ }],
  ['USER', 'jules', VIBING, { value: 'swebot', beside: { variable: 'HOME', value: '/home/jules' } }],
  ['TERM_PROGRAM', 'kiro', STD, { ...WEAK, value: /kiro/ }],
  ['PAGER', 'zed', VIBING, { ...WEAK, value: 'cat', beside: { variable: 'TERM_PROGRAM', value: 'zed' } }],
  ['SHELL', 'bolt', VIBING, { ...WEAK, value: '/bin/jsh' }],
  ['AIDER_API_KEY', 'aider', VIBING, WEAK],
];

/** The union of three public lists, and of what their issues add. (`/opt/.devin` is left out: a directory says nothing about a process.) */
export const ENVIRONMENT_MARKERS: readonly EnvironmentMarker[] = ENVIRONMENT.map(([variable, agent, source, more]) => ({
  variable,
  agent,
  source,
  strength: 'strong',
  ...more,
}));

/** A program that is an agent, by the name of its file, its first argument or its script. */
export interface ProgramMarker {
  name: string;
  agent: AgentName;
  strength: Strength;
}

const NAMED: Partial<Record<AgentName, readonly string[]>> = {
  'claude-code': ['claude', 'claude-code'],
  codex: ['codex'],
  'cursor-agent': ['cursor-agent'],
  gemini: ['gemini', 'gemini-cli'],
  copilot: ['copilot'],
  opencode: ['opencode', 'opencode-ai'],
  aider: ['aider', 'aider-chat'],
  goose: ['goose', 'goosed'],
  amp: ['amp'],
  crush: ['crush'],
  'qwen-code': ['qwen', 'qwen-code'],
  droid: ['droid'],
  devin: ['devin'],
  octofriend: ['octofriend', 'octo'],
  cline: ['cline'],
  junie: ['junie'],
  auggie: ['auggie'],
  openhands: ['openhands'],
  pi: ['pi', 'pi-coding-agent'],
};
/** Editors with terminals for people: being below one says little. */
const EDITORS: Partial<Record<AgentName, readonly string[]>> = {
  cursor: ['cursor'],
  windsurf: ['windsurf'],
  antigravity: ['antigravity'],
  kiro: ['kiro'],
  zed: ['zed', 'zed-editor'],
};

const markersOf = (table: Partial<Record<AgentName, readonly string[]>>, strength: Strength): ProgramMarker[] =>
  Object.entries(table).flatMap(([agent, names]) =>
    names.map((name) => ({ name, agent: agent as AgentName, strength })),
  );

/** Programs by name. A name that other tools have too counts: those do not start `bulkhead`. */
export const PROGRAM_MARKERS: readonly ProgramMarker[] = [...markersOf(NAMED, 'strong'), ...markersOf(EDITORS, 'weak')];

/** Packages and places of agents, in the path of a program or of an interpreter's argument. */
export const PATH_MARKERS: readonly { path: RegExp; agent: AgentName }[] = [
  {
    path: /(?:^|\/)(?:@anthropic-ai\/claude-(?:code|agent-sdk)(?:\/|@|$)|claude-code\/|claude\/versions\/)/,
    agent: 'claude-code',
  },
  { path: /(?:^|\/)@openai\/codex(?:\/|@|$)/, agent: 'codex' },
  { path: /(?:^|\/)cursor-agent\//, agent: 'cursor-agent' },
  { path: /(?:^|\/)@google\/gemini-cli(?:\/|@|$)/, agent: 'gemini' },
  { path: /(?:^|\/)@github\/copilot(?:\/|@|$)/, agent: 'copilot' },
  { path: /(?:^|\/)(?:opencode-ai|\.opencode)(?:\/|@|$)/, agent: 'opencode' },
  { path: /(?:^|\/)@qwen-code\/qwen-code(?:\/|@|$)/, agent: 'qwen-code' },
  { path: /(?:^|\/)@sourcegraph\/amp(?:\/|@|$)/, agent: 'amp' },
  { path: /(?:^|\/)@charmland\/crush(?:\/|@|$)/, agent: 'crush' },
  { path: /(?:^|\/)@augmentcode\/auggie(?:\/|@|$)/, agent: 'auggie' },
  { path: /(?:^|\/)@jetbrains\/junie(?:\/|@|$)/, agent: 'junie' },
  { path: /(?:^|\/)@[a-z0-9-]+\/pi-coding-agent(?:\/|@|$)/, agent: 'pi' },
  { path: /(?:^|\/)octofriend\//, agent: 'octofriend' },
  { path: /^\/opt\/\.devin\//, agent: 'devin' },
];

/** The override of an agent guard that tells people from agents by this variable. Here it opens nothing. */
export const OVERRIDE_VARIABLE = 'BULKHEAD_ALLOW_PRODUCTION';
/** They make a program run another's code: the loader's (ld.so(8)) and Node's. */
export const INJECTION_VARIABLES = ['LD_PRELOAD', 'LD_AUDIT', 'LD_LIBRARY_PATH', 'NODE_OPTIONS'] as const;

const WANTED: ReadonlySet<string> = new Set([
  OVERRIDE_VARIABLE,
  ...INJECTION_VARIABLES,
  ...ENVIRONMENT_MARKERS.flatMap((marker) => [marker.variable, ...(marker.beside ? [marker.beside.variable] : [])]),
]);

/** True for the variables that are looked at. No other is ever kept: an environment holds secrets. */
export const isWantedVariable = (name: string): boolean => WANTED.has(name);
