import { type Command, Option } from 'commander';
import { isOwnBound, OWN_THINGS, readClientBound } from '../domain/apps/client-bounds.ts';
import {
  ASSERTION_GRANT,
  CLIENT_AUTH_METHODS,
  type ClientAuthMethod,
  type ClientGrantType,
  createClient,
  DEVICE_GRANT,
  type NewClient,
} from '../domain/apps/create-client.ts';
import {
  type ClientActor,
  removeClient,
  resumeClient,
  rotateClientSecret,
  suspendClient,
} from '../domain/apps/manage-clients.ts';
import {
  CLIENT_ORIGINS,
  CLIENT_STATUSES,
  type FoundClient,
  findClients,
  showClient,
} from '../domain/operators/oauth-clients.ts';
import { ConfigError, Failure } from '../errors.ts';
import { parseScope } from '../lib/scopes.ts';
import { DAY_MS } from '../lib/time.ts';
import { displayName } from '../lib/untrusted-text.ts';
import { durationMs, reasonOption, type Shell } from './shell.ts';

/** What a client may be given, by the word of the option, and the grants that it needs. */
const GRANTS: Readonly<Record<string, readonly ClientGrantType[]>> = {
  code: ['authorization_code', 'refresh_token'],
  credentials: ['client_credentials'],
  device: [DEVICE_GRANT, 'refresh_token'],
  assertion: [ASSERTION_GRANT],
};

interface AddOptions {
  name: string;
  redirect: string[];
  auth: ClientAuthMethod;
  grant: string[];
  scopes?: string;
  place: string[];
  jwks?: string;
  jwksUri?: string;
  reason?: string;
}

interface ListOptions {
  status?: (typeof CLIENT_STATUSES)[number];
  origin?: (typeof CLIENT_ORIGINS)[number];
  before?: string;
}

/** Adds `client …`: registers, lists, suspends and removes OAuth clients. */
export function addClientCommands(program: Command, shell: Shell): void {
  const client = program.command('client').description('OAuth clients: apps and services');
  client
    .command('add')
    .description('register a client of the operator; shows its secret once')
    .requiredOption('--name <name>', 'what it is called')
    .option('--redirect <url...>', 'where it sends people, matched exactly; with the grant code', [])
    .addOption(
      new Option('--auth <method>', 'how it signs in')
        .choices(CLIENT_AUTH_METHODS)
        .default('client_secret_post'),
    )
    .addOption(
      new Option('--grant <grant...>', 'what it may do: ask people in a browser, act by itself, …')
        .choices(Object.keys(GRANTS))
        .default(['code']),
    )
    .option('--scopes <scopes>', 'the most it may ask for, separated by commas; default: all')
    .option(
      '--place <place...>',
      'where it may work at most: own, a workspace as wsp_…, or a path in one as wsp_…/drafts/; default: wherever people let it',
      [],
    )
    .option('--jwks <json>', 'its public keys, a JWK set; with private_key_jwt')
    .option('--jwks-uri <url>', 'the https URL of them, in place of --jwks')
    .addOption(reasonOption())
    .action((options: AddOptions) =>
      shell.withDatabase(async (deps) => {
        const { client: added, secret } = await createClient(
          deps,
          shell.origin(),
          toInput(options, [...deps.config.scopes.keys()]),
          actorOf(options.reason),
        );
        shell.say(
          { client_id: added.id, client_secret: secret, name: added.name, ...added.metadata },
          secretLines(added.id, secret).join('\n'),
        );
      }),
    );
  client
    .command('list [text]')
    .description('newest first: by the start of an id or name, the mailbox or account of who registered it')
    .addOption(new Option('--status <status>', 'only these').choices(CLIENT_STATUSES))
    .addOption(new Option('--origin <origin>', 'only these').choices(CLIENT_ORIGINS))
    .option('--before <mark>', 'go on before this mark')
    .action((text: string | undefined, { status, origin, before }: ListOptions) =>
      shell.withDatabase(async (deps) => {
        const { items: clients, next } = await findClients(deps, {
          search: text ?? '',
          status,
          origin,
          before,
        });
        const lines = clients.map(
          (each) => `${each.id}  ${displayName(each.name ?? '')}  (${each.origin}, ${each.status})`,
        );
        if (next !== undefined) lines.push(`There may be more. Go on with --before ${next}`);
        shell.say({ clients: clients.map(clientJson), next_before: next }, lines.join('\n') || 'None.');
      }),
    );
  client
    .command('show <client_id>')
    .description('one client, without its secret')
    .action((id: string) =>
      shell.withDatabase(async (deps) => {
        const found = await showClient(deps, id);
        if (found === undefined) return shell.notFound('client');
        const bound = await readClientBound(deps.db, id);
        const json = { ...clientJson(found.client), places: bound?.map(placeText) };
        shell.say(json, JSON.stringify(json, null, 2));
      }),
    );
  client
    .command('rotate-secret <client_id>')
    .description('give a client a new secret, shown once')
    .option(
      '--overlap <time>',
      'how long the old secret works on, such as 1h or 7d; 0: not at all',
      durationMs,
      DAY_MS,
    )
    .addOption(reasonOption())
    .action((id: string, { overlap, reason }: { overlap: number; reason?: string }) =>
      shell.withDatabase((deps) =>
        orNotFound(shell, async () => {
          const rotated = await rotateClientSecret(deps, shell.origin(), id, overlap, actorOf(reason));
          const until = overlap === 0 ? undefined : new Date(deps.clock() + overlap).toISOString();
          shell.say(
            { client_id: id, client_secret: rotated.secret, previous_secret_until: until },
            [
              ...secretLines(id, rotated.secret),
              until === undefined ? 'The old one has ended.' : `The old one works until ${until}.`,
            ].join('\n'),
          );
        }),
      ),
    );
  for (const [name, description, act, done] of [
    ['suspend', 'let a client do nothing, and end what people let it do', suspendClient, 'suspended'],
    ['resume', 'let a suspended client act again', resumeClient, 'resumed'],
  ] as const) {
    client
      .command(`${name} <client_id>`)
      .description(description)
      .addOption(reasonOption())
      .action((id: string, { reason }: { reason?: string }) =>
        shell.withDatabase((deps) =>
          orNotFound(shell, async () => {
            await act(deps, shell.origin(), id, { accountId: undefined, reason });
            shell.say({ [done]: id }, `${id} is ${done}.`);
          }),
        ),
      );
  }
  client
    .command('remove <client_id>')
    .description('end a client, with all that people let it do; they are mailed')
    .addOption(reasonOption())
    .action((id: string, { reason }: { reason?: string }) =>
      shell.withDatabase((deps) =>
        orNotFound(shell, async () => {
          await removeClient(deps, shell.origin(), id, actorOf(reason));
          shell.say({ removed: id }, `${id} is removed.`);
        }),
      ),
    );
}

function toInput(options: AddOptions, allScopes: readonly string[]): NewClient {
  const { name, redirect, auth, grant, scopes, place, jwks, jwksUri } = options;
  const actions = scopes === undefined ? allScopes : parseScope(scopes);
  return {
    name,
    redirectUris: redirect,
    authMethod: auth,
    grantTypes: [...new Set(grant.flatMap((each) => GRANTS[each]!))],
    scopes: scopes === undefined ? undefined : parseScope(scopes),
    places: place.map((text) => {
      const [, workspaceId = text, path] = /^([^/]+)(?:\/(.*))?$/.exec(text) ?? [];
      return { workspaceId, path: path || undefined, actions };
    }),
    ...(jwks !== undefined && { jwks: parseKeys(jwks) }),
    ...(jwksUri !== undefined && { jwksUri }),
  };
}

function parseKeys(text: string): NonNullable<NewClient['jwks']> {
  try {
    return JSON.parse(text);
  } catch {
    throw new ConfigError('--jwks takes JSON.');
  }
}

async function orNotFound(shell: Shell, act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (!(error instanceof Failure) || error.kind !== 'notFound') throw error;
    shell.notFound('client');
  }
}

function actorOf(reason: string | undefined): ClientActor {
  return { operator: { accountId: undefined, reason } };
}

function secretLines(id: string, secret: string | undefined): string[] {
  if (secret === undefined) return [`client_id      ${id}`];
  return [`client_id      ${id}`, `client_secret  ${secret}`, 'The secret is shown this once.'];
}

/** Writes where a client may work at most, as --place takes it; a thing by its id. */
function placeText(place: Bound[number]): string {
  const workspace = isOwnBound(place) ? OWN_THINGS : place.workspaceId;
  const thing = place.nodeId ?? place.path;
  return thing === null ? workspace : `${workspace}/${thing}`;
}

type Bound = NonNullable<Awaited<ReturnType<typeof readClientBound>>>;

function clientJson(client: FoundClient): object {
  const { id, name, origin, status, registeredBy, metadata, scope, previousEndsAt } = client;
  const isoOf = (at: number | null | undefined) => (at ? new Date(at).toISOString() : undefined);
  return {
    client_id: id,
    name,
    origin,
    status,
    owner_id: registeredBy?.id,
    owner_mailbox: registeredBy?.mailbox,
    token_endpoint_auth_method: metadata.token_endpoint_auth_method,
    grant_types: metadata.grant_types,
    redirect_uris: metadata.redirect_uris,
    scopes: scope === null ? undefined : parseScope(scope),
    created_at: isoOf(client.createdAt),
    last_used_at: isoOf(client.usedAt),
    suspended_at: isoOf(client.suspendedAt),
    ended_at: isoOf(client.endedAt),
    previous_secret_until: isoOf(previousEndsAt),
  };
}
