import type { ProgressEvent } from '../contract/events.ts';
import { planUp } from '../core/plans.ts';
import type { VolumeRecord } from '../store/volumes.ts';
import { refOf } from './cell-spec.ts';
import type { Parts, StepTime } from './parts.ts';
import { needFit, subject } from './shared.ts';
import { fileOf } from './steps.ts';

/**
 * Starts an app or a fork for a request, by its plan. A fork is looked at for room right
 * before: nothing waits between the look and the start, in which others could be started.
 * Throws `no-room`, and what a step of the plan throws.
 */
export async function bringUp(
  parts: Parts,
  record: VolumeRecord,
  { id, emit }: { id: string; emit: (event: ProgressEvent) => void },
): Promise<StepTime[]> {
  if (record.kind === 'fork') needFit(parts, fileOf(parts, record.id), refOf(record));
  parts.supervisor.begin(record);
  try {
    const times = await parts.run(planUp(subject(parts, record)), id, emit);
    parts.supervisor.ready(record);
    return times;
  } catch (error) {
    parts.supervisor.fail(record, error instanceof Error ? error.message : String(error));
    throw error;
  }
}
