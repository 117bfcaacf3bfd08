/**
 * Between the daemon and the thread that reads the sessions' sockets. Each
 * session has a number; buffers are handed over, not copied.
 */
export type ToWorker =
  | { do: 'open'; key: number; fd: number }
  /** Bytes for the session's input, answered by `written`. */
  | { do: 'write'; key: number; data: Uint8Array }
  /** No more input. */
  | { do: 'end'; key: number }
  /** So many bytes of output have been taken. */
  | { do: 'taken'; key: number; bytes: number }
  /** Lets go of the session; it runs on. Answered by `closed`. */
  | { do: 'close'; key: number }
  | { do: 'quit' };

export type FromWorker =
  | { is: 'output'; key: number; stream: 'stdout' | 'stderr'; data: Uint8Array }
  | { is: 'written'; key: number }
  /** Nothing more will come, and the descriptor is used no longer. */
  | { is: 'closed'; key: number };

/** Given to the thread when it starts. */
export interface WorkerStart {
  /** Read end of the pipe whose bytes mean "look at your messages". */
  wake: number;
}
