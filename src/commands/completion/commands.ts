import type { Command, Option } from 'commander';

/** A command as a shell completes it. */
export interface CompletedCommand {
  /** The words that lead to it, such as `auth request`; empty for the program itself. */
  path: string;
  subcommands: { name: string; description: string }[];
  options: CompletedOption[];
  takesFile: boolean;
}

/** An option as a shell completes it. */
export interface CompletedOption {
  /** Such as `--cap`. */
  flags: string[];
  description: string;
  /** What follows it: nothing, a file, one of some words, or something that no shell knows. */
  value: 'none' | 'file' | 'text' | readonly string[];
  /** Whether the value may be left out. */
  isOptional: boolean;
}

/** Reads all commands of a program, itself first. */
export function readCommands(program: Command, path = ''): CompletedCommand[] {
  const help: CompletedOption = {
    flags: ['--help'],
    description: 'how it is called',
    value: 'none',
    isOptional: false,
  };
  const own: CompletedCommand = {
    path,
    subcommands: program.commands.map((sub) => ({ name: sub.name(), description: sub.description() })),
    options: [...program.options.filter(({ hidden }) => !hidden).map(readOption), help],
    takesFile: program.registeredArguments.some((argument) => argument.name() === 'file'),
  };
  return [
    own,
    ...program.commands.flatMap((sub) =>
      readCommands(sub, path === '' ? sub.name() : `${path} ${sub.name()}`),
    ),
  ];
}

function readOption(option: Option): CompletedOption {
  const { short, long, description, optional, required, argChoices, flags } = option;
  const takesValue = optional || required;
  const kind = argChoices ?? (/[<[]file/i.test(flags) ? 'file' : 'text');
  return {
    flags: [long, short].filter((flag) => flag != null),
    description,
    value: takesValue ? kind : 'none',
    isOptional: optional,
  };
}
