import { parsePort } from '../../contract/app-file.ts';
import { AppError } from '../../contract/errors.ts';
import { owns } from '../../core/policy.ts';
import { redactText } from '../../core/redact.ts';
import { planDown, planStop, planUp } from '../../core/plans.ts';
import type { LogLine } from '../../host/cells.ts';
import type { VolumeRecord } from '../../store/volumes.ts';
import { refOf } from '../cell-spec.ts';
import type { Handler } from '../handler.ts';
import type { Parts, StepTime } from '../parts.ts';
import type { ServerStream } from '../stream.ts';
import { bringUp } from '../bring-up.ts';
import { KEEPERS } from '../hooks.ts';
import { holdTarget, needTarget, subject } from '../shared.ts';
import { fileOf } from '../steps.ts';

export const up: Handler<'cell.up'> = {
  plan: async (request) => ({ plans: [planUp(subject(request.parts, needTarget(request)))] }),
  async run(request) {
    return holdTarget(request, async (record) => {
      request.parts.reaper.demandRoom(record);
      const already = request.parts.supervisor.state(record.id).state === 'up';
      return answer(request, record, already ? [] : await bringUp(request.parts, record, request));
    });
  },
};

export const restart: Handler<'cell.restart'> = {
  async plan({ parts, ...request }) {
    const plain = subject(parts, needTarget({ parts, ...request }));
    return { plans: [planStop(plain), planUp(plain)] };
  },
  async run(request) {
    const { parts, id, emit } = request;
    return holdTarget(request, async (record) => {
      parts.reaper.demandRoom(record);
      await parts.sessions.endAll(record.id);
      const stopped = await parts.run(planStop(subject(parts, record)), id, emit);
      return answer(request, record, [...stopped, ...(await bringUp(request.parts, record, request))]);
    });
  },
};

export const down: Handler<'cell.down'> = {
  plan: async (request) => ({ plans: [planDown(subject(request.parts, needTarget(request)))] }),
  async run(request) {
    const { parts, id, emit } = request;
    return holdTarget(request, async (record) => {
      await parts.reaper.release(record.id);
      await parts.sessions.endAll(record.id);
      await parts.run(planDown(subject(parts, record)), id, emit);
      return { ref: refOf(record), state: parts.supervisor.state(record.id).state };
    });
  },
};

function answer({ parts }: { parts: Parts }, record: VolumeRecord, timings: StepTime[]) {
  const port = record.kind === 'app' ? fileOf(parts, record.id).ports[0] : undefined;
  return {
    ref: refOf(record),
    state: parts.supervisor.state(record.id).state,
    url: port === undefined ? null : placeOf(port),
    timings,
  };
}

/** Where a published port answers: a web address where the port says that it is one, else address and port. */
function placeOf(text: string): string {
  const { host, address = 'localhost' } = parsePort(text);
  if (host === 80) return `http://${address}/`;
  return host === 443 ? `https://${address}/` : `${address}:${host}`;
}

export const processes: Handler<'cell.processes'> = {
  async run(request) {
    const { parts, caller } = request;
    const record = needTarget(request);
    if (!parts.supervisor.running(record.id)) return { processes: [] };
    // Who may not read its data is told what runs, without the secrets that stand in arguments.
    const whole = caller.kind === 'person' || owns(caller, record);
    const found = await parts.cells.processes(record.id);
    return {
      processes: found
        .toSorted((a, b) => a.started.getTime() - b.started.getTime())
        .map((one) => ({
          pid: one.pid,
          user: one.user,
          session: one.session === record.id ? 'up' : one.session,
          started: one.started.toISOString(),
          rss: one.rss,
          command: KEEPERS.test(one.command)
            ? '(keeps the output of hook up)'
            : whole
              ? one.command
              : redactText(one.command),
        })),
    };
  },
};

const LINES = 200;
const LINES_MOST = 10_000;
/** Lines of one message. */
const AT_ONCE = 500;

export const logs: Handler<'cell.logs'> = {
  async run(request) {
    const { parts, input, stream } = request;
    const record = needTarget(request);
    if (stream === undefined) throw new AppError('usage', 'Logs are a stream');
    const { id } = record;
    const write = (lines: readonly LogLine[]) => writeLines(stream, lines);
    await write(await parts.cells.log(id, id, Math.min(input.lines ?? LINES, LINES_MOST)));
    // The client's pace is the pace: what it has not taken is not read yet.
    if (input.follow === true) await parts.cells.follow(id, id, stream.gone, write);
    return {};
  },
};

/** Lines of one stream that follow each other go together. */
async function writeLines(stream: ServerStream, lines: readonly LogLine[]): Promise<void> {
  for (let from = 0; from < lines.length;) {
    const { stream: name } = lines[from] as LogLine;
    let to = from + 1;
    while (to < lines.length && to - from < AT_ONCE && lines[to]?.stream === name) to += 1;
    const texts = lines.slice(from, to).map(({ text }) => `${text}\n`);
    await stream.write(name === 'stdout' ? 1 : 2, Buffer.from(texts.join('')));
    from = to;
  }
}
