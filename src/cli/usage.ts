import {
  ArgumentScannerError,
  formatMessageForArgumentScannerError,
  text_en,
  type ApplicationText,
} from '@stricli/core';
import { escapeText, quote } from '../contract/names.ts';

/** What is said of a command line that cannot be read. */
export const USAGE_TEXT: ApplicationText = {
  ...text_en,
  noCommandRegisteredForInput: ({ input, corrections }) =>
    `There is no command ${quote(input)}${meant(corrections.map((word) => word.replaceAll('`', '')))}`,
  exceptionWhileParsingArguments: (error) =>
    error instanceof ArgumentScannerError ? scannerText(error) : `Cannot read the command line: ${String(error)}`,
  exceptionWhileRunningCommand: rethrow,
  exceptionWhileLoadingCommandFunction: rethrow,
  exceptionWhileLoadingCommandContext: rethrow,
};

/** Errors of commands are said in one place, not here. */
function rethrow(error: unknown): string {
  throw error instanceof Error ? error : new Error(String(error));
}

function scannerText(error: ArgumentScannerError): string {
  return formatMessageForArgumentScannerError(error, {
    FlagNotFoundError: ({ input, corrections }) =>
      `There is no flag ${dashed(input)} here${meant(corrections.map(dashed))}`,
    AliasNotFoundError: ({ input }) => `There is no flag -${escapeText(input)} here`,
    ArgumentParseError: ({ externalFlagNameOrPlaceholder, input, exception }) =>
      `Cannot use ${quote(input)} for ${nameOf(externalFlagNameOrPlaceholder)}${exception instanceof Error ? `: ${exception.message}` : ''}`,
    UnsatisfiedFlagError: ({ externalFlagName }) => `${dashed(externalFlagName)} needs a value`,
    UnexpectedFlagError: ({ externalFlagName }) => `${dashed(externalFlagName)} stands there twice`,
    UnexpectedPositionalError: ({ expectedCount, input }) =>
      expectedCount === 0 ? `There is no place for ${quote(input)}` : `${quote(input)} is one word too many`,
    UnsatisfiedPositionalError: ({ placeholder }) => `${placeholder} is missing`,
  });
}

const dashed = (flag: string): string => (flag.startsWith('-') ? escapeText(flag) : `--${escapeText(flag)}`);
const nameOf = (name: string): string => (/^[A-Z]+$/.test(name) ? name : dashed(name));
const meant = (words: readonly string[]): string => (words.length === 0 ? '' : `; did you mean ${words.join(' or ')}?`);
