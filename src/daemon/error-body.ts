import { AppError, type ErrorBody } from '../contract/errors.ts';

/** Any error as it is sent: what is not ours says no more than that something broke. */
export function toBody(error: unknown): ErrorBody {
  if (error instanceof AppError) return error.body();
  return {
    code: 'failed',
    message: 'Something went wrong in the daemon; its log has the details',
    next: ['bulkhead status'],
  };
}
