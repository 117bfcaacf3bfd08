import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { AppError } from '../../src/contract/errors.ts';
import type { AnswerEvent, PlanView, ProgressEvent } from '../../src/contract/events.ts';
import type { Input, OperationName, Output } from '../../src/contract/operations.ts';
import type { OpenMessage } from '../../src/contract/protocol.ts';
import { createDaemonServer, type DaemonServer } from '../../src/daemon/server.ts';
import type { ServerStream } from '../../src/daemon/stream.ts';

/** One request as it came. */
export interface Asked {
  operation: OperationName;
  input: unknown;
  plan: boolean;
  code: string | undefined;
}

type Answer<N extends OperationName> = (ask: {
  input: Input<N>;
  code: string | undefined;
  emit: (event: ProgressEvent) => void;
  stream: ServerStream | undefined;
}) => Promise<Output<N>> | Output<N>;

/** What the daemon answers to each operation; what is not there is refused as `not-found`. A plan answers `--plan`. */
export type Answers = { [N in OperationName]?: Answer<N> } & { plan?: (name: OperationName) => PlanView };

/**
 * A daemon that speaks as the real one does, by the real server on a real socket, and does
 * nothing: what it answers is the test's.
 */
export interface FakeDaemon {
  socket: string;
  asked: Asked[];
  /** Ends the connections, as a daemon that is stopped does. */
  stop(): Promise<void>;
  start(): Promise<void>;
  remove(): Promise<void>;
}

/** Starts one on a socket of its own. */
export async function startFakeDaemon(answers: Answers): Promise<FakeDaemon> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'bulkhead-fake-'));
  const socket = path.join(folder, 'd.sock');
  const asked: Asked[] = [];
  let server: DaemonServer | undefined;

  async function perform(
    name: OperationName,
    body: unknown,
    emit: (event: AnswerEvent) => void,
    stream: ServerStream | undefined,
  ) {
    const { input, plan = false, code } = body as OpenMessage;
    asked.push({ operation: name, input, plan, code });
    if (plan) return { plan: (answers.plan ?? emptyPlan)(name) };
    const answer = answers[name] as Answer<OperationName> | undefined;
    if (answer === undefined)
      throw new AppError('not-found', `There is no answer to ${name}`, { next: ['bulkhead help'] });
    return { result: await answer({ input: input as Input<OperationName>, code, emit, stream }) };
  }

  const daemon: FakeDaemon = {
    socket,
    asked,
    async start() {
      server = createDaemonServer({
        request: async ({ name, body, emit, reply }) => reply(await perform(name, body, emit, undefined)),
        async stream({ name, stream }) {
          try {
            const done = await perform(
              name,
              await stream.open,
              (event) => stream.control(event as ProgressEvent),
              stream,
            );
            stream.control({ type: 'result', result: done.result });
          } catch (error) {
            if (!(error instanceof AppError)) return;
            stream.control({ type: 'error', error: error.body() });
          } finally {
            stream.end();
          }
        },
      });
      await server.listen(socket, { channel: 'local' });
    },
    async stop() {
      await server?.close();
      server = undefined;
    },
    async remove() {
      await daemon.stop();
      await rm(folder, { recursive: true });
    },
  };
  await daemon.start();
  return daemon;
}

const emptyPlan = (name: OperationName): PlanView => ({ operation: name, target: 'shop', steps: [], unknown: [] });
