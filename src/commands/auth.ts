import { type Command, InvalidArgumentError, Option } from 'commander';
import { AuthError } from '../lib/artifacts/auth-error.ts';
import { singleLine } from '../lib/untrusted-text.ts';
import { reportError } from './auth/report-error.ts';
import { type CommonOptions, runVerb, type Verb } from './auth/run-verb.ts';
import type { Shell } from './shell.ts';

/** A verb, and the file that does it, which is loaded when it is called. */
interface VerbRow {
  usage: string;
  description: string;
  options: readonly Option[];
  /** Whether its operands are the words of a command, which stand after `--`. */
  takesCommand?: true;
  load(): Promise<Verb>;
}

const paste = new Option('--paste', 'paste it at the terminal');
const pasteAnswer = new Option('--paste', 'paste the answer that the page shows');
const stdin = new Option('--stdin', 'read it from stdin');
const yes = new Option(
  '--yes',
  'answer the questions that would be asked with yes; without a terminal nothing is asked',
);
const noPopup = new Option('--no-popup', 'open no browser; the link is printed');
const expiry = new Option(
  '--expiry <duration>',
  'how long it should work: 30m, 12h, 7d, 2w, or milliseconds',
);

const VERBS: readonly VerbRow[] = [
  {
    usage: 'request [command...]',
    description:
      'ask for permissions by a signed file; what stands after -- is run once they are there (auth retry --exec)',
    options: [
      repeatable('--cap <spec>', 'a permission: [PREFIX.]SERVICE:SPACE:PATH:ACTION,ACTION; may be repeated'),
      repeatable('--permission <file>', 'a JSON file {"permissions": […]}; may be repeated'),
      repeatable(
        '--manifest <file>',
        'the manifest of an app: a file, base64:…, or raw base64; may be repeated',
      ),
      expiry,
      new Option(
        '--action <text>',
        'the very thing that is to be allowed, on one line; with one permission of one action',
      ),
      new Option('--once', 'it can be used once; only with --action'),
      new Option('--emit [file]', 'write the request to stdout, or to a new file'),
      new Option('--send', 'hand the request to the service, and show a link and a code'),
      new Option('--wait', 'wait until somebody has decided; implies --send'),
      new Option('--grant', 'grant it at once, from this profile, which is signed in as a person'),
      yes,
      noPopup,
    ],
    takesCommand: true,
    load: async () => (await import('./auth/request.ts')).request,
  },
  {
    usage: 'import [file]',
    description: 'take in a request, or the answer to one; - is stdin',
    options: [stdin, paste],
    load: async () => (await import('./auth/import.ts')).importArtifact,
  },
  {
    usage: 'grant [file]',
    description:
      'review a request and grant it, from this profile, which is signed in as a person; prq_… is a stored one',
    options: [
      stdin,
      paste,
      yes,
      new Option('--only <numbers>', 'only these permissions, as numbered in the review: 1,3').argParser(
        numbers,
      ),
      expiry,
    ],
    load: async () => (await import('./auth/grant.ts')).grant,
  },
  {
    usage: 'retry [id]',
    description: 'ask whether a request is granted, take the grant in, and run its command',
    options: [
      new Option('--last', 'the request that was made or imported last'),
      new Option('--exec', 'run the command that was captured with the request'),
      yes,
    ],
    load: async () => (await import('./auth/retry.ts')).retry,
  },
  {
    usage: 'caps',
    description: 'what this profile may do now, by the word of the service',
    options: [
      new Option('--diff <spec>', 'compare it with a permission'),
      new Option('--history', 'the last 20 grants that were taken in'),
    ],
    load: async () => (await import('./auth/caps.ts')).caps,
  },
  {
    usage: 'rotate',
    description: 'make a new session key; the old one works for ten minutes more',
    options: [pasteAnswer, noPopup],
    load: async () => (await import('./auth/rotate.ts')).rotate,
  },
  {
    usage: 'login',
    description: 'sign this profile in',
    options: [
      new Option('--method <method>', 'as a person (browser), as a new agent, or with an agent key').choices([
        'browser',
        'agent',
        'key',
      ]),
      new Option('--email <mailbox>', 'whose owner is asked to claim the new agent'),
      pasteAnswer,
      noPopup,
    ],
    load: async () => (await import('./auth/login.ts')).login,
  },
  {
    usage: 'logout',
    description: 'end the session key and forget the credential; requests stay',
    options: [],
    load: async () => (await import('./auth/login.ts')).logout,
  },
  {
    usage: 'status',
    description: 'who this profile is, and until when',
    options: [],
    load: async () => (await import('./auth/status.ts')).status,
  },
  {
    usage: 'whoami',
    description: 'the same, by the word of the service',
    options: [],
    load: async () => (await import('./auth/status.ts')).whoami,
  },
  {
    usage: 'token',
    description: 'an access token for the permissions of this profile',
    options: [
      new Option('--resource <url>', 'only for this API'),
      repeatable('--cap <spec>', 'only these permissions; may be repeated'),
      new Option('--grant <id>', 'only for this grant; one for a single action is spent by it'),
    ],
    load: async () => (await import('./auth/token.ts')).token,
  },
];

/** Adds `auth …`: the client of a remote service. It opens no database and reads no settings of a service. */
export function addAuthCommands(program: Command, shell: Shell): void {
  const isJson = () => program.opts<{ json?: boolean }>().json === true || !process.stdout.isTTY;
  const auth = program
    .command('auth')
    .description('ask a service for permissions, grant them, and use them; needs no settings and no database')
    .configureOutput({
      outputError: (text) =>
        reportError(
          new AuthError(
            'INVALID_USAGE',
            `${singleLine(text.replace(/^error: /, ''), 300).replace(/\.$/, '')}.`,
          ),
          isJson(),
        ),
    });
  for (const { usage, description, options, takesCommand, load } of VERBS) {
    const command = auth.command(usage).description(description);
    for (const option of [...options, ...commonOptions()]) command.addOption(option);
    command.action(async () => {
      const opts = command.opts<CommonOptions>();
      const verb = takesCommand ? withCommand(await load()) : await load();
      process.exitCode = await runVerb(verb, command.args, opts, isJson(), shell.env);
    });
  }
}

/** Words that do not stand after `--` are a typing error, and no command. */
function withCommand(verb: Verb): Verb {
  return async (context, args, options) => {
    const dashes = process.argv.indexOf('--');
    const words = dashes === -1 ? 0 : process.argv.length - dashes - 1;
    if (words === args.length) return verb(context, args, options);
    throw new AuthError('INVALID_USAGE', 'A command stands after --, and nothing else has no option.', {
      hint: 'vouchsafe auth request --cap … -- COMMAND',
    });
  };
}

function commonOptions(): Option[] {
  return [
    new Option('--profile <name>', 'the profile; else $VOUCHSAFE_PROFILE, else the default one'),
    new Option('--service <url>', 'the service, where the profile is new'),
    new Option('--timeout <seconds>', 'how long an answer of the service may take')
      .argParser(wholeSeconds)
      .default(10),
  ];
}

function repeatable(flags: string, description: string): Option {
  return new Option(flags, description).argParser((value: string, all: string[] = []) => [...all, value]);
}

function wholeSeconds(text: string): number {
  if (!/^[1-9][0-9]{0,3}$/.test(text)) throw new InvalidArgumentError('It takes whole seconds from 1.');
  return Number(text);
}

function numbers(text: string): number[] {
  if (!/^[1-9][0-9]?(,[1-9][0-9]?)*$/.test(text))
    throw new InvalidArgumentError('It takes numbers such as 1,3.');
  return [...new Set(text.split(',').map(Number))];
}
