import { examineAgentAuth } from './agent-auth.ts';
import { examineAgentConfiguration } from './agent-configuration.ts';
import { ASK_LIMITS, type AskLimits, createAsker, type ProbeClient } from './ask.ts';
import { authMdUrl, examineAuthMd, examineSkill } from './auth-document.ts';
import { findIssuerMetadata, type IssuerMetadata } from './authorization-server.ts';
import { examineChallenge } from './challenge.ts';
import { type Dialect, dialectsOf, examineDialects } from './dialects.ts';
import { ACCEPT_MARKDOWN, texts } from './documents.ts';
import { examineEndpoints } from './endpoints.ts';
import { examineLlmsTxt } from './extras.ts';
import { type Finding, fine, hint, shown, wrong } from './finding.ts';
import { examineKeySet } from './key-set.ts';
import { findResourceMetadata, type ResourceMetadata } from './protected-resource.ts';
import { examineRefusals, isOfProduction } from './refusals.ts';
import { parseTarget, type Target, urlFault } from './target.ts';

/** What a check found. `ok` where nothing is wrong; hints do not count. */
export interface Report {
  url: string;
  ok: boolean;
  dialects: Dialect[];
  findings: GroupedFinding[];
}

export interface GroupedFinding extends Finding {
  group:
    | 'service'
    | 'documents'
    | 'protected resource'
    | 'authorization server'
    | 'agent_auth'
    | 'answers'
    | 'agent-configuration';
}

/**
 * Examines what a service offers to agents by auth.md, from outside and without changing anything there: its documents, the
 * links between them, its challenge, and how registration refuses an empty request.
 *
 * @param url of an API, an MCP server, a site or an issuer
 * @throws Failure badRequest where it is no URL; whatever is wrong with the service is a finding
 */
export async function checkService(url: string, limits: AskLimits = ASK_LIMITS): Promise<Report> {
  const target = parseTarget(url);
  const ask = createAsker(target, limits);
  const door = await ask.look(target.url);
  if (door.kind === 'trouble' && door.isUnreachable) {
    return report(
      target,
      [],
      grouped('service', [wrong('service', `${target.url} ${door.says}`, door.next)]),
    );
  }
  // Asked for now, read later: what does not depend on anything need not wait.
  void ask.get(authMdUrl(target.origin), ACCEPT_MARKDOWN);
  const llmsTxt = examineLlmsTxt(ask, target);
  const configuration = examineAgentConfiguration(ask, target);

  const challenge =
    door.kind === 'reply' && door.status === 401 ? door.headers.get('www-authenticate') : null;
  const resource = await findResourceMetadata(ask, target, challenge ?? undefined);
  const server = texts(resource.found?.document.authorization_servers)?.[0];
  const issuer = await findIssuerMetadata(ask, target, server);
  const block = issuer.found && (await examineBlock(ask, target, issuer.found));
  const [authMd, challenged, llms, agentConfiguration] = await Promise.all([
    examineAuthMd(ask, target, issuer.found?.issuer ?? target.origin),
    challengeOf(ask, target, door, resource.found),
    llmsTxt,
    configuration,
  ]);
  const resourceFindings =
    resource.found === undefined && issuer.found !== undefined && isIssuerAlone(target, issuer.found)
      ? resource.findings.map(({ name, message }) =>
          hint(name, message, 'Check the API that this issuer is for, too.'),
        )
      : resource.findings;
  return report(target, block?.dialects ?? [], [
    ...grouped('service', [
      examineScheme(target),
      ...examineDoor(target, door, issuer.found, resource.found),
    ]),
    ...grouped('documents', [...authMd, llms]),
    ...grouped('protected resource', [...resourceFindings, challenged]),
    ...grouped('authorization server', [...issuer.findings, ...(block?.server ?? [])]),
    ...grouped('agent_auth', block?.block ?? []),
    ...grouped('answers', block?.answers ?? []),
    ...grouped('agent-configuration', agentConfiguration),
  ]);
}

/** The block `agent_auth`, and all that the metadata around it leads to. */
async function examineBlock(ask: ProbeClient, target: Target, { issuer, document }: IssuerMetadata) {
  const { block, findings } = examineAgentAuth(document);
  const { endpoints, findings: urls } = examineEndpoints(document, block, target, issuer);
  const [skill, keys, answers] = await Promise.all([
    endpoints.has('skill') ? examineSkill(ask, target, endpoints.get('skill')!) : undefined,
    endpoints.has('jwks_uri') ? examineKeySet(ask, endpoints.get('jwks_uri')!) : [],
    examineRefusals(ask, endpoints, [target.origin, new URL(issuer).origin]),
  ]);
  const dialects = block === undefined ? [] : dialectsOf(document, block, answers.some(isOfProduction));
  return {
    dialects,
    server: [...keys, ...urls],
    block: [...findings, ...(skill === undefined ? [] : [skill])],
    answers: [
      ...answers.map(({ finding }) => finding),
      ...(block === undefined ? [] : [examineDialects(dialects)]),
    ],
  };
}

/** Where the named URL does not ask for a credential, the resource that its metadata names may. */
async function challengeOf(
  ask: ProbeClient,
  target: Target,
  door: Awaited<ReturnType<ProbeClient['look']>>,
  metadata: ResourceMetadata | undefined,
): Promise<Finding> {
  const resource = metadata?.document.resource;
  const asksForCredential = door.kind === 'reply' && door.status === 401;
  if (asksForCredential || resource === target.url || urlFault(resource, target) !== undefined) {
    return examineChallenge(ask, target, target.url, door, metadata);
  }
  const url = resource as string;
  return examineChallenge(ask, target, url, await ask.look(url), metadata);
}

/** An issuer whose resources are elsewhere needs no metadata of a resource at its own address. */
function isIssuerAlone(target: Target, { issuer, document: { resource } }: IssuerMetadata): boolean {
  if (issuer !== target.url) return false;
  return (
    typeof resource !== 'string' || !URL.canParse(resource) || new URL(resource).origin !== target.origin
  );
}

/** A path that is not there; an issuer has documents around its address, and may have nothing at it. */
function examineDoor(
  { url, origin }: Target,
  door: Awaited<ReturnType<ProbeClient['look']>>,
  issuer: IssuerMetadata | undefined,
  resource: ResourceMetadata | undefined,
): Finding[] {
  const isGone = door.kind === 'reply' && (door.status === 404 || door.status === 410);
  if (!isGone || url === origin || issuer?.issuer === url) return [];
  const says = `${shown(url)} answers ${door.status}`;
  return [
    resource?.document.resource === url
      ? hint('path', says, 'A GET of a resource is answered 401 without a credential, or 405.')
      : wrong('path', says, 'Name a URL that is there: of the API, the MCP server, the site or the issuer.'),
  ];
}

function examineScheme({ url, isLocal }: Target): Finding {
  if (url.startsWith('https:')) return fine('service', 'is served over TLS');
  return isLocal
    ? fine('service', 'is on this machine, where http will do')
    : wrong('service', `${shown(url)} is not https`, 'Serve it over TLS: keys go over this line.');
}

function grouped(group: GroupedFinding['group'], findings: Finding[]): GroupedFinding[] {
  return findings.map((finding) => ({ group, ...finding }));
}

function report(target: Target, dialects: Dialect[], findings: GroupedFinding[]): Report {
  return { url: target.url, ok: findings.every(({ ok }) => ok !== false), dialects, findings };
}
