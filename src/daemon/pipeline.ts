import { AppError, ERRORS } from '../contract/errors.ts';
import type { AnswerEvent, PlanView, ProgressEvent } from '../contract/events.ts';
import { objectOf } from '../contract/fields.ts';
import type { Operation } from '../contract/operation.ts';
import { OPERATIONS, type Input, type OperationName } from '../contract/operations.ts';
import type { Caller } from '../core/caller.ts';
import type { Plan } from '../core/steps.ts';
import type { Channel } from './cell-sockets.ts';
import type { Handlers, Request } from './handler.ts';
import type { Parts } from './parts.ts';
import { toBody } from './error-body.ts';
import type { ServerStream } from './stream.ts';
import { targetOf, type Target } from './target.ts';

/**
 * The way of every request, through whichever door it came:
 * identify → parse → policy → factor → audit (intent) → point → run → audit (outcome).
 */
export interface Pipeline {
  request(from: {
    name: OperationName;
    channel: Channel;
    fd: number;
    connected: number | undefined;
    body: unknown;
    gone: AbortSignal;
    emit: (event: AnswerEvent) => void;
    reply: (value: unknown) => void;
  }): Promise<void>;
  stream(from: {
    name: OperationName;
    channel: Channel;
    fd: number;
    connected: number | undefined;
    stream: ServerStream;
  }): Promise<void>;
}

/** Where a request came in. */
interface Door {
  channel: Channel;
  fd: number;
  /** Milliseconds after boot. */
  connected: number | undefined;
}

/** What came with a request beside its input. */
interface Envelope {
  input: unknown;
  plan: boolean;
  code: string | undefined;
}

interface Io {
  emit: (event: ProgressEvent) => void;
  gone: AbortSignal;
  stream: ServerStream | undefined;
}

/** Exit code of what the policy does not allow. */
const REFUSED = 3;

export function createPipeline(parts: Parts, handlers: Handlers): Pipeline {
  async function perform(name: OperationName, from: Door, envelope: Envelope, io: Io) {
    const operation = OPERATIONS[name] as unknown as Operation;
    const id = parts.newId();
    const caller = await identify(parts, from, { id, name });
    const note = recorder(parts, { id, name, operation, caller, input: envelope.input });
    try {
      const input = parseInput(name, envelope.input);
      const target = targetOf(parts, name, input, caller);
      note.target(target);
      const verdict = parts.policy(operation, name, caller, target, input);
      if (!verdict.allowed) throw new AppError(verdict.code, verdict.message, { why: verdict.why, next: verdict.next });
      const request = {
        id,
        operation: name,
        input,
        caller,
        target: target.record,
        ...io,
        parts,
      } as Request<OperationName>;
      if (envelope.plan) {
        const plan = await planView(handlers, name, operation, target, request);
        await note.outcome('planned', null);
        return { plan };
      }
      if (verdict.needsFactor) await parts.factors.demand(caller, envelope.code, operation, target);
      await note.intent();
      if (verdict.point && target.record !== undefined)
        await parts.points.before(target.record, { operation: name, request: id }, io.emit);
      const result = await (handlers[name].run as (r: Request<OperationName>) => Promise<unknown>)(request);
      await note.outcome('done', null);
      return { result };
    } catch (error) {
      const body = { ...toBody(error), request: id };
      if (!(error instanceof AppError)) parts.log.error('request failed', { id, name, error: describe(error) });
      await note.outcome(ERRORS[body.code].exit === REFUSED ? 'refused' : 'failed', body.code);
      throw Object.assign(AppError.from(body), { request: id, cause: error });
    }
  }

  return {
    async request({ name, channel, fd, connected, body, gone, emit, reply }) {
      const operation = OPERATIONS[name] as unknown as Operation;
      if (operation.answer === 'stream' && envelopeOf(body).plan !== true)
        throw new AppError('usage', `The operation "${name}" answers with a stream: ask it by Upgrade`);
      const io = { emit: operation.answer === 'events' ? emit : () => {}, gone, stream: undefined };
      reply(await perform(name, { channel, fd, connected }, envelopeOf(body), io));
    },
    async stream({ name, channel, fd, connected, stream }) {
      try {
        const open = await stream.open;
        // Who asks is read from the connection, whose number may be another's once it has ended.
        if (stream.gone.aborted) throw new AppError('failed', 'The client left');
        const io = { emit: (event: ProgressEvent) => stream.control(event), gone: stream.gone, stream };
        const done = await perform(name, { channel, fd, connected }, envelopeOf(open), io);
        if ('plan' in done) stream.control({ type: 'result', result: done.plan });
        else stream.control({ type: 'result', result: done.result });
      } catch (error) {
        if (!stream.gone.aborted) stream.control({ type: 'error', error: toBody(error) });
      } finally {
        stream.end();
      }
    },
  };
}

/** Who asks. Whoever cannot be told, or came through a door that is not theirs, is refused, and that is recorded as well. */
async function identify(parts: Parts, door: Door, of: { id: string; name: OperationName }): Promise<Caller> {
  try {
    return await parts.identify({
      fd: door.fd,
      ...(door.connected === undefined ? {} : { connected: door.connected }),
      ...door.channel,
    });
  } catch (error) {
    const body = { ...toBody(error), request: of.id };
    const caller: Caller = { kind: 'service', name: 'nobody', evidence: [body.message] };
    const note = recorder(parts, {
      ...of,
      operation: OPERATIONS[of.name] as unknown as Operation,
      caller,
      input: null,
    });
    await note.outcome('refused', body.code);
    throw AppError.from(body);
  }
}

const schemas = new Map(
  (Object.keys(OPERATIONS) as OperationName[]).map((name) => [name, objectOf(OPERATIONS[name].input)]),
);

function parseInput<N extends OperationName>(name: N, input: unknown): Input<N> {
  const parsed = schemas.get(name)?.safeParse(input ?? {});
  if (parsed?.success === true) return parsed.data as Input<N>;
  const issue = parsed?.error.issues[0];
  const where = issue?.code === 'unrecognized_keys' ? issue.keys.join(', ') : (issue?.path.join('.') ?? 'input');
  throw new AppError(
    'usage',
    `"${name}" does not take "${where.slice(0, 80)}": ${issue?.message ?? 'it is malformed'}`,
    {
      next: [`bulkhead ${OPERATIONS[name].command} --help`],
    },
  );
}

function envelopeOf(body: unknown): Envelope {
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw new AppError('usage', 'The request must be an object with "input"');
  const { input, plan, code } = body as Record<string, unknown>;
  if (code !== undefined && (typeof code !== 'string' || code.length > 64))
    throw new AppError('usage', 'The code of the second factor must be a short text');
  return { input, plan: plan === true, code };
}

async function planView(
  handlers: Handlers,
  name: OperationName,
  operation: Operation,
  target: Target,
  request: Request<OperationName>,
): Promise<PlanView> {
  if (operation.effect === 'read' || operation.plan === false)
    throw new AppError(
      'usage',
      `"${operation.command}" has no plan: it ${operation.effect === 'read' ? 'changes nothing' : 'is one step'}`,
    );
  const compute = handlers[name].plan as
    | ((r: Request<OperationName>) => Promise<{ plans: Plan[]; unknown?: string[] }>)
    | undefined;
  const { plans, unknown = [] } = compute === undefined ? { plans: [] } : await compute(request);
  const steps = plans.flatMap((plan) => plan.steps.map((step) => ({ key: step.do, label: step.label })));
  return {
    operation: name,
    target: target.name ?? 'this machine',
    steps: steps.length > 0 ? steps : [{ key: name, label: operation.doc }],
    unknown,
  };
}

/**
 * Writes the audit records of one request: intent before, outcome after; one record for a refusal or a plain read.
 * Where the intent cannot be written nothing is done. An outcome that cannot be written changes nothing any more,
 * and `doctor` has to answer while the disk is full.
 */
function recorder(
  parts: Parts,
  of: { id: string; name: OperationName; operation: Operation; caller: Caller; input: unknown },
) {
  let target: Target | undefined;
  let began = false;
  const write = (phase: 'intent' | 'outcome', outcome: string, code: string | null): Promise<unknown> =>
    parts.audit.append({
      request: of.id,
      phase,
      operation: of.name,
      target: target?.name ?? null,
      caller: of.caller,
      outcome,
      code,
      arguments: phase === 'intent' || !began ? parts.redact(of.input, of.operation.input) : null,
    });
  return {
    target: (found: Target) => void (target = found),
    async intent() {
      if (of.operation.effect !== 'read' || of.operation.data === true) {
        await write('intent', 'allowed', null);
        began = true;
      }
    },
    outcome: (outcome: string, code: string | null) =>
      write('outcome', outcome, code).catch((error: unknown) =>
        parts.log.error('not recorded', { id: of.id, operation: of.name, outcome, error: describe(error) }),
      ),
  };
}

const describe = (error: unknown): string => (error instanceof Error ? (error.stack ?? error.message) : String(error));
