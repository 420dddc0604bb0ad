import { type Command, InvalidArgumentError, Option } from 'commander';
import { claim, endAgent, exchange, poll, readAgentStatus, registerAgent } from '../client/agent.ts';
import { type Agent, changeAgent } from '../client/agent-state.ts';
import { readAgentFile, readServiceIn, writeAgentFile } from '../client/env-file.ts';
import { AuthError } from '../lib/artifacts/auth-error.ts';
import { printableJson } from '../lib/artifacts/printable-json.ts';
import { reportError } from './auth/report-error.ts';
import { openTerminal } from './auth/terminal.ts';
import type { Shell } from './shell.ts';

/** `agent register|claim|status|token|end`: what an agent does for itself at a remote service, with its secrets in a `.env` file. */

interface CommonOptions {
  service?: string;
  env: string;
  timeout: number;
}

/** What a verb has of its process. */
interface Run<Options> {
  options: Options & CommonOptions;
  network: { timeoutMs: number };
  /** Prints the result to stdout: one JSON value with `--json` and where it is no terminal, else the text. */
  print(json: object, text: string): void;
  /** Prints a line for a person to stderr. */
  note(line: string): void;
}

/** Adds the verbs to `agent`, which has those of operators. */
export function addAgentClientCommands(program: Command, shell: Shell): void {
  const agent = program.commands.find((command) => command.name() === 'agent')!;
  const isJson = () => program.opts<{ json?: boolean }>().json === true || !process.stdout.isTTY;

  function verb<Options>(
    name: string,
    description: string,
    options: readonly Option[],
    run: (run: Run<Options>) => Promise<void>,
  ): void {
    const command = agent.command(name).description(description);
    for (const option of [...options, ...commonOptions()]) command.addOption(option);
    command.action(async () => {
      const given = command.opts<Options & CommonOptions>();
      try {
        await run({
          options: given,
          network: { timeoutMs: given.timeout * 1000 },
          print: (json, text) => console.log(isJson() ? printableJson(json) : text),
          note: (line) => shell.note(line),
        });
      } catch (error) {
        process.exitCode = reportError(error, isJson());
      }
    });
  }

  verb('register', 'register an agent at a remote service, and keep its key in a file', REGISTER, register);
  verb('claim', 'ask a human to claim the agent, and take its wider key', CLAIM, askForClaim);
  verb('status', 'who the agent of the file is, by the word of its service', [], showStatus);
  verb('token', 'a token for calls of an API', TOKEN, printToken);
  verb('end', 'end the key of the agent, and take it out of the file', END, end);
}

const link = new Option('--link', 'the agent keeps its own account, linked to the human’s');
const email = new Option('--email <mailbox>', 'the mailbox of the human who should claim the agent');
const wait = new Option('--wait', 'wait until the human has decided');

const REGISTER = [
  new Option('--name <name>', 'how the agent calls itself'),
  new Option('--dialect <dialect>', 'a key (tinysend), or an identity that is exchanged (auth.md)')
    .choices(['tinysend', 'auth.md'])
    .default('tinysend'),
  email,
  link,
];
const CLAIM = [email, link, new Option('--code <code>', 'the code that the human read out'), wait];
const TOKEN = [
  new Option('--resource <url>', 'only for this API'),
  new Option('--scope <scopes>', 'fewer scopes than the agent has, separated by spaces'),
  new Option('--raw', 'print the token alone, also where stdout is no terminal'),
];
const END = [new Option('--yes', 'do not ask')];

function commonOptions(): Option[] {
  return [
    new Option('--service <url>', 'the service; else the one in the file'),
    new Option('--env <file>', 'the file with the agent').default('.env'),
    new Option('--timeout <seconds>', 'how long an answer of the service may take')
      .argParser(wholeSeconds)
      .default(10),
  ];
}

async function register({
  options,
  network,
  print,
}: Run<{ name?: string; dialect: Agent['dialect']; email?: string; link?: true }>): Promise<void> {
  const { env, name, dialect } = options;
  if (readAgentFile(env) !== undefined) {
    throw new AuthError('INVALID_USAGE', 'There is an agent in the file already.', {
      hint: 'End it first, or name another file by --env.',
    });
  }
  const service = options.service ?? readServiceIn(env);
  if (service === undefined) {
    throw new AuthError('INVALID_USAGE', 'Which service?', { hint: 'Add --service URL.' });
  }
  const registered = await registerAgent({ ...network, service, name, dialect });
  writeAgentFile(env, registered);
  const agent =
    options.email === undefined
      ? registered
      : await claim(registered, { ...network, email: options.email, link: options.link });
  writeAgentFile(env, agent);
  print(agentJson(agent, env), [`Registered at ${agent.service}.`, ...agentLines(agent, env)].join('\n'));
}

async function askForClaim({
  options,
  network,
  print,
  note,
}: Run<{ email?: string; link?: true; code?: string; wait?: true }>): Promise<void> {
  const { env, code } = options;
  let agent = readAgent(options);
  const save = (changed: Agent) => {
    agent = changed;
    writeAgentFile(env, changed);
  };
  if (options.email !== undefined && agent.claim !== 'claimed') {
    save(await claim(agent, { ...network, email: options.email, link: options.link }));
    // While it waits; else they are what is printed.
    if (options.wait) for (const line of claimLines(agent)) note(line);
  }
  if (agent.claim === 'none') {
    throw new AuthError('INVALID_USAGE', 'Nobody was asked yet.', { hint: 'Add --email MAILBOX.' });
  }
  const isAsked = code !== undefined || options.wait === true || options.email === undefined;
  if (agent.claim === 'pending' && isAsked) {
    if (options.wait) note('Waiting for the human to decide. Ctrl-C ends the waiting, and nothing else.');
    do save(await poll(agent, code === undefined ? network : { ...network, code }));
    while (options.wait && agent.claim === 'pending');
  }
  print(agentJson(agent, env), agentLines(agent, env).join('\n'));
}

async function showStatus({ options, network, print }: Run<object>): Promise<void> {
  const stored = readAgent(options);
  const { agent, ...told } = await readAgentStatus(stored, network);
  if (agent !== stored) writeAgentFile(options.env, agent);
  const { agent_id: id, user_id: account, scopes, claim: state } = told;
  const now = changeAgent(agent, { id, account, scopes });
  print(
    { ...agentJson(now, options.env), claim: state?.status ?? now.claim, service_says: told },
    agentLines(now, options.env).join('\n'),
  );
}

async function printToken({
  options,
  network,
  print,
}: Run<{ resource?: string; scope?: string; raw?: true }>): Promise<void> {
  const { resource, scope } = options;
  const stored = readAgent(options);
  const got = await exchange(stored, {
    ...network,
    ...(resource !== undefined && { resource }),
    ...(scope !== undefined && { scope }),
  });
  if (got.agent !== stored) writeAgentFile(options.env, got.agent);
  if (options.raw) return console.log(got.accessToken);
  print(
    { access_token: got.accessToken, expires_at: got.expiresAt ?? null, scopes: got.scopes },
    got.accessToken,
  );
}

async function end({ options, network, print }: Run<{ yes?: true }>): Promise<void> {
  const agent = readAgent(options);
  if (!options.yes) await confirm(`End the key of ${agent.id ?? 'this agent'} at ${agent.service}?`);
  await endAgent(agent, network);
  writeAgentFile(options.env, undefined);
  print(
    { ended: true, agent_id: agent.id ?? null, env: options.env },
    'Its key is ended, and out of the file.',
  );
}

async function confirm(question: string): Promise<void> {
  const terminal = openTerminal();
  if (terminal === undefined) {
    throw new AuthError('CONFIRMATION_REQUIRED', 'This needs a yes, and there is no terminal to ask at.', {
      hint: 'Give --yes if that is what you want.',
    });
  }
  try {
    if (!(await terminal.ask(question))) throw new AuthError('REQUEST_CANCELLED', 'Nothing was done.');
  } finally {
    terminal.close();
  }
}

function readAgent({ env, service }: CommonOptions): Agent {
  const agent = readAgentFile(env);
  if (agent === undefined) {
    throw new AuthError('NO_KEY', 'There is no agent in the file.', {
      hint: 'vouchsafe agent register --service URL',
    });
  }
  if (service === undefined || new URL(agent.service).origin === URL.parse(service)?.origin) return agent;
  throw new AuthError('WRONG_SERVICE', 'The agent in the file is of another service.');
}

/** What is printed of an agent. Nothing in it is secret. */
function agentJson(agent: Agent, env: string): object {
  return {
    service: agent.service,
    agent_id: agent.id ?? null,
    account: agent.account ?? null,
    claim: agent.claim,
    scopes: agent.scopes ?? [],
    key_expires_at: (agent.dialect === 'tinysend' ? agent.expiresAt : agent.assertionExpiresAt) ?? null,
    claim_expires_at: agent.claim === 'claimed' ? null : agent.claimExpiresAt,
    verification_uri: agent.verificationUri ?? null,
    user_code: agent.userCode ?? null,
    code_expires_at: agent.codeExpiresAt ?? null,
    env,
  };
}

/** The same for a person, with how long each thing lives. */
function agentLines(agent: Agent, env: string): string[] {
  const isKey = agent.dialect === 'tinysend';
  const keyEnd = isKey ? agent.expiresAt : agent.assertionExpiresAt;
  const renewed = isKey ? '' : '; it is renewed by itself';
  return [
    ...(agent.id === undefined ? [] : [`Agent ${agent.id}: ${(agent.scopes ?? []).join(' ')}`]),
    keyEnd === undefined
      ? `Its key, in ${env}, lives until it is ended.`
      : `Its ${isKey ? 'key' : 'identity'}, in ${env}, lives ${until(keyEnd)}${renewed}.`,
    ...(agent.claim === 'claimed' ? ['A human has claimed it.'] : claimLines(agent)),
  ];
}

function claimLines(agent: Agent): string[] {
  const { claim: state, claimExpiresAt, verificationUri, userCode, codeExpiresAt } = agent;
  const registration = `Its registration can be claimed ${until(claimExpiresAt)}.`;
  if (state !== 'pending') return [registration, 'Next: vouchsafe agent claim --email MAILBOX'];
  return [
    registration,
    ...(verificationUri === undefined ? [] : [`The human decides at ${verificationUri}`]),
    ...(userCode === undefined ? [] : [`The code to type there: ${userCode}`]),
    ...(codeExpiresAt === undefined ? [] : [`The code lives ${until(codeExpiresAt)}.`]),
    userCode === undefined
      ? 'Next: vouchsafe agent claim --code CODE, or --wait'
      : 'Next: vouchsafe agent claim --wait',
  ];
}

const UNITS = [
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
] as const;

/** `for 30 days, until 2026-12-28T12:00:00Z`. */
function until(at: string): string {
  const seconds = (Date.parse(at) - Date.now()) / 1000;
  const [unit, length] = UNITS.find((each) => seconds >= each[1] - 1) ?? UNITS[2];
  const count = Math.max(0, Math.round(seconds / length));
  return `for ${count} ${unit}${count === 1 ? '' : 's'}, until ${at}`;
}

function wholeSeconds(text: string): number {
  if (!/^[1-9][0-9]{0,3}$/.test(text)) throw new InvalidArgumentError('It takes whole seconds from 1.');
  return Number(text);
}
