import { docOf, type LoadedCommand, type OptionSpec } from '../command.ts';
import { EXIT_CODES } from '../exit-codes.ts';
import { GLOBAL_OPTIONS } from '../program.ts';

/**
 * The manual page as roff (man(7)), made from the command table. The published page is
 * `man/mmdpickle.1`; a test keeps it equal to this.
 */
export function manPage(commands: readonly LoadedCommand[]): string {
  return [
    '.TH MMDPICKLE 1',
    '.SH NAME',
    'mmdpickle \\- one file, one dictionary, memory-mapped arrays, readable by every stock Python',
    '.SH SYNOPSIS',
    '.B mmdpickle',
    '.I command',
    '[options] [arguments]',
    '.SH DESCRIPTION',
    'An mmdpickle file is a Python pickle of a dict, laid out so that its arrays can be memory-mapped and appended to.',
    '\\fB\\-\\fR stands for standard input or output.',
    '.SH OPTIONS OF EVERY COMMAND',
    ...optionLines(GLOBAL_OPTIONS),
    '.SH COMMANDS',
    ...commands.flatMap(commandLines),
    '.SH EXIT STATUS',
    ...Object.values(EXIT_CODES).flatMap(({ code, doc }) => ['.TP', String(code), roffText(doc)]),
    '.SH ENVIRONMENT',
    '.TP',
    'NO_COLOR',
    'no colours when set to anything',
    '',
  ].join('\n');
}

function commandLines({ name, args, summary, argDocs, options, examples }: LoadedCommand): string[] {
  return [
    `.SS "${roffText(`${name} ${args}`.trim())}"`,
    `${roffText(summary)}.`,
    ...Object.entries(argDocs).flatMap(([argument, doc]) => ['.TP', `.I ${roffText(argument)}`, roffText(doc)]),
    ...optionLines(options),
    ...examples.flatMap(({ line, doc }) => [
      '.PP',
      `${roffText(doc)}:`,
      '.PP',
      '.RS',
      '.nf',
      roffText(line),
      '.fi',
      '.RE',
    ]),
  ];
}

function optionLines(options: readonly OptionSpec[]): string[] {
  return options.flatMap((option) => ['.TP', `.B ${roffText(option.flags)}`, roffText(docOf(option))]);
}

/** Backslashes, hyphens, and a leading dot or quote have meaning in roff. */
function roffText(text: string): string {
  const escaped = text.replaceAll('\\', '\\e').replaceAll('-', '\\-');
  return /^[.']/.test(escaped) ? `\\&${escaped}` : escaped;
}
