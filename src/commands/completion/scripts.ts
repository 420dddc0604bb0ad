import type { CompletedCommand, CompletedOption } from './commands.ts';

/**
 * The scripts hold what the program offered when they were printed. So completing starts no process and asks no service.
 */

// Where bash is older than 4, files are completed without a slash after folders.
const BASH_FILES = 'compopt -o filenames 2> /dev/null; COMPREPLY=($(compgen -f -- "$current"))';

/** Prints the script for bash. */
export function bashCompletion(commands: readonly CompletedCommand[]): string {
  return `# Completion of vouchsafe for bash: source <(vouchsafe completion bash)
_vouchsafe() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} at= word words=
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    [[ $word == -- ]] && { compopt -o default 2> /dev/null; return; }
    case "\${at:+$at }$word" in
      ${paths(commands)}) at="\${at:+$at }$word" ;;
    esac
  done
  case "$at $previous" in
${values(commands)
  .map(({ pattern, value }) => `    ${pattern}) ${bashValue(value)}; return ;;`)
  .join('\n')}
  esac
  case "$at" in
${commands.map((command) => `    ${quoted(command.path)}) words=${quoted(words(command))}${command.takesFile ? `; ${BASH_FILES}` : ''} ;;`).join('\n')}
  esac
  COMPREPLY+=($(compgen -W "$words" -- "$current"))
}
complete -F _vouchsafe vouchsafe
`;
}

/** Prints the script for zsh. */
export function zshCompletion(commands: readonly CompletedCommand[]): string {
  return `#compdef vouchsafe
# Completion of vouchsafe for zsh: source <(vouchsafe completion zsh)
_vouchsafe() {
  local at= word previous=\${words[CURRENT-1]}
  local -a offers
  for word in "\${(@)words[2,CURRENT-1]}"; do
    if [[ $word == -- ]]; then _files; return; fi
    case "\${at:+$at }$word" in
      ${paths(commands)}) at="\${at:+$at }$word" ;;
    esac
  done
  case "$at $previous" in
${values(commands)
  .map(({ pattern, value }) => `    ${pattern}) ${zshValue(value)}; return ;;`)
  .join('\n')}
  esac
  case "$at" in
${commands.map((command) => `    ${quoted(command.path)}) offers=(${offers(command)})${command.takesFile ? '; _files' : ''} ;;`).join('\n')}
  esac
  _describe vouchsafe offers
}
compdef _vouchsafe vouchsafe
`;
}

/** Prints the script for fish. */
export function fishCompletion(commands: readonly CompletedCommand[]): string {
  const lines = commands.flatMap((command) => {
    const here = `complete -c vouchsafe -n ${fishQuoted(`__vouchsafe_at ${fishQuoted(command.path)}`)}`;
    return [
      ...(command.takesFile ? [`${here} -F`] : []),
      ...command.subcommands.map(
        ({ name, description }) => `${here} -a ${fishQuoted(name)} -d ${fishQuoted(description)}`,
      ),
      ...command.options.map((option) => `${here} ${fishOption(option)}`),
    ];
  });
  return `# Completion of vouchsafe for fish: vouchsafe completion fish | source
function __vouchsafe_at
  set -l at
  for word in (commandline -opc)[2..-1]
    test $word = -- && return 1
    switch (string join -- ' ' $at $word)
      case ${commands.flatMap(({ path }) => (path === '' ? [] : [fishQuoted(path)])).join(' ')}
        set -a at $word
    end
  end
  test "$at" = "$argv[1]"
end
complete -c vouchsafe -f
complete -c vouchsafe -n 'contains -- -- (commandline -opc)' -F
${lines.join('\n')}
`;
}

function paths(commands: readonly CompletedCommand[]): string {
  return commands.flatMap(({ path }) => (path === '' ? [] : [quoted(path)])).join('|');
}

function words({ subcommands, options }: CompletedCommand): string {
  return [...subcommands.map(({ name }) => name), ...options.flatMap(({ flags }) => flags)].join(' ');
}

/** What follows options with a value, by the command and option before it. Optional values are not offered in their place. */
function values(
  commands: readonly CompletedCommand[],
): { pattern: string; value: CompletedOption['value'] }[] {
  return commands.flatMap(({ path, options }) =>
    options
      .filter(({ value }) => value !== 'none')
      .map(({ flags, value }) => ({
        pattern: flags.map((flag) => quoted(`${path} ${flag}`)).join('|'),
        value,
      })),
  );
}

function bashValue(value: CompletedOption['value']): string {
  if (value === 'file') return BASH_FILES;
  if (typeof value === 'string') return 'COMPREPLY=()';
  return `COMPREPLY=($(compgen -W ${quoted(value.join(' '))} -- "$current"))`;
}

function zshValue(value: CompletedOption['value']): string {
  if (value === 'file') return '_files';
  if (typeof value === 'string') return ':';
  return `compadd -- ${value.map(quoted).join(' ')}`;
}

function offers({ subcommands, options }: CompletedCommand): string {
  const described = [
    ...subcommands,
    ...options.flatMap(({ flags, description }) => flags.map((name) => ({ name, description }))),
  ];
  return described.map(({ name, description }) => quoted(`${name}:${description}`)).join(' ');
}

function fishOption({ flags, description, value, isOptional }: CompletedOption): string {
  const names = flags.map((flag) => (flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`));
  const follows = fishValue(value, isOptional);
  return `${names.join(' ')} -d ${fishQuoted(description)}${follows}`;
}

function fishValue(value: CompletedOption['value'], isOptional: boolean): string {
  if (value === 'none') return '';
  if (value === 'file') return isOptional ? ' -F' : ' -r -F';
  if (typeof value === 'string') return ' -x';
  return ` -x -a ${fishQuoted(value.join(' '))}`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

function fishQuoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
