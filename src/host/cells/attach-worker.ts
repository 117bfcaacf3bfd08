import { readSync } from 'node:fs';
import { constants } from 'node:os';
import { parentPort, receiveMessageOnPort, workerData, type MessagePort } from 'node:worker_threads';
import { tryCall } from '../syscalls.ts';
import type { FromWorker, ToWorker, WorkerStart } from './attach-protocol.ts';

/**
 * A thread that carries the bytes of all sessions. The supervisor's socket is
 * SEQPACKET, which Node cannot open, so it is polled here with all the others,
 * beside the pipe by which the daemon wakes this thread.
 *
 * A packet from the supervisor is one byte, 2 or 3 for stdout or stderr, and data.
 */

const POLLIN = 1;
const POLLOUT = 4;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const SHUT_WR = 1;
const { EAGAIN, EINTR } = constants.errno;

/** Bytes of output that may wait for the daemon before a session's command has to. */
const WINDOW = 1 << 20;
/** Bytes that one message carries at the most. */
const BATCH = 128 << 10;
/** The supervisor sends 8 KiB at a time; newer ones 32. */
const LARGEST_PACKET = (32 << 10) + 1;
/** The supervisor reads 32 KiB of a packet and would lose the rest. */
const INPUT_PACKET = 16 << 10;
const STDERR = 3;

interface Attached {
  key: number;
  fd: number;
  /** Bytes sent on to the daemon, not yet taken. */
  waiting: number;
  input: Uint8Array[];
  ending: boolean;
}

/** Runs until it is told to quit; the thread has no event loop meanwhile. */
function serve(port: MessagePort, wake: number): void {
  const sessions = new Map<number, Attached>();
  const batch = Buffer.alloc(BATCH);
  // The daemon closes the descriptor: nothing else may get its number while either side still uses it.
  const drop = (session: Attached): void => {
    sessions.delete(session.key);
    port.postMessage({ is: 'closed', key: session.key } satisfies FromWorker);
  };
  const orders: Orders = {
    open: ({ key, fd }) => sessions.set(key, { key, fd, waiting: 0, input: [], ending: false }),
    write: ({ key, data }) => sessions.get(key)?.input.push(data),
    end: ({ key }) => finish(sessions.get(key)),
    taken: ({ key, bytes }) => take(sessions.get(key), bytes),
    close: ({ key }) => {
      const session = sessions.get(key);
      if (session !== undefined) drop(session);
    },
  };
  for (;;) {
    const ready = wait(wake, [...sessions.values()]);
    if (ready.woken && !obey(port, wake, orders)) return;
    for (const { session, readable, writable } of ready.sessions) {
      if (!sessions.has(session.key)) continue;
      if (writable) sendInput(session, port);
      if (readable && !readOutput(session, port, batch)) drop(session);
    }
  }
}

type Orders = { [K in Exclude<ToWorker['do'], 'quit'>]: (order: Extract<ToWorker, { do: K }>) => void };

/** Carries out what the daemon has asked for; false when that was to quit. */
function obey(port: MessagePort, wake: number, orders: Orders): boolean {
  try {
    readSync(wake, Buffer.alloc(4096));
  } catch {
    // EAGAIN: another byte was read with these messages before.
  }
  for (;;) {
    const received = receiveMessageOnPort(port);
    if (received === undefined) return true;
    const order = received.message as ToWorker;
    if (order.do === 'quit') return false;
    // The table has exactly the function for this order's type, which TypeScript cannot correlate.
    (orders[order.do] as (order: ToWorker) => void)(order);
  }
}

function finish(session: Attached | undefined): void {
  if (session === undefined) return;
  session.ending = true;
  if (session.input.length === 0) tryCall('shutdown', session.fd, SHUT_WR);
}

function take(session: Attached | undefined, bytes: number): void {
  if (session !== undefined) session.waiting -= bytes;
}

/** Waits until something can be done. */
function wait(wake: number, sessions: readonly Attached[]) {
  const polled = Buffer.alloc(8 * (sessions.length + 1));
  const watch = (at: number, fd: number, events: number): void => {
    polled.writeInt32LE(fd, at * 8);
    polled.writeInt16LE(events, at * 8 + 4);
  };
  watch(0, wake, POLLIN);
  sessions.forEach((session, at) => {
    const events = (session.waiting < WINDOW ? POLLIN : 0) | (session.input.length > 0 ? POLLOUT : 0);
    // A negative descriptor is passed over: else a hang-up that may not be read yet would be reported for ever.
    watch(at + 1, events === 0 ? -1 : session.fd, events);
  });
  tryCall('poll', polled, sessions.length + 1, -1);
  const result = (at: number): number => polled.readInt16LE(at * 8 + 6);
  return {
    woken: result(0) !== 0,
    sessions: sessions.map((session, at) => ({
      session,
      readable: session.waiting < WINDOW && (result(at + 1) & ~POLLOUT) !== 0,
      writable: session.input.length > 0 && result(at + 1) !== 0,
    })),
  };
}

/** Sends input as long as the supervisor takes it. */
function sendInput(session: Attached, port: MessagePort): void {
  for (let data = session.input[0]; data !== undefined; data = session.input[0]) {
    const piece = data.subarray(0, INPUT_PACKET);
    const sent = piece.length === 0 ? 0 : tryCall('send', session.fd, piece, piece.length, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent === -EAGAIN || sent === -EINTR) return;
    // Any other error: the command is gone or has closed its input, as with a broken pipe.
    const rest = sent < 0 ? data.subarray(data.length) : data.subarray(piece.length);
    if (rest.length > 0) session.input[0] = rest;
    else {
      session.input.shift();
      port.postMessage({ is: 'written', key: session.key } satisfies FromWorker);
    }
  }
  if (session.ending) tryCall('shutdown', session.fd, SHUT_WR);
}

/**
 * Reads what is there, up to the window, and sends it on in as few messages as
 * possible; false at the end. Packets are received one after the other into one
 * buffer, each with its first byte over the last one's end, which is put back.
 */
function readOutput(session: Attached, port: MessagePort, batch: Buffer): boolean {
  let end = 1;
  let stream = 0;
  const flush = (): void => {
    if (end > 1) sendOutput(session, port, stream, batch.subarray(1, end));
    end = 1;
  };
  for (;;) {
    if (BATCH - end < LARGEST_PACKET) flush();
    if (session.waiting >= WINDOW) return true;
    const kept = batch[end - 1] ?? 0;
    const received = tryCall('recv', session.fd, batch.subarray(end - 1), LARGEST_PACKET, MSG_DONTWAIT);
    if (received === -EINTR) continue;
    if (received <= 0) {
      flush();
      return received === -EAGAIN;
    }
    const marker = batch[end - 1] ?? 0;
    batch[end - 1] = kept;
    const start = end;
    if (marker !== stream) flush();
    batch.copyWithin(end, start, start + received - 1);
    stream = marker;
    end += received - 1;
  }
}

/** The bytes are copied, so that a few of them do not keep the whole buffer. */
function sendOutput(session: Attached, port: MessagePort, marker: number, bytes: Buffer): void {
  session.waiting += bytes.length;
  const data = new Uint8Array(bytes);
  const message: FromWorker = { is: 'output', key: session.key, stream: marker === STDERR ? 'stderr' : 'stdout', data };
  port.postMessage(message, [data.buffer]);
}

if (parentPort !== null) serve(parentPort, (workerData as WorkerStart).wake);
