import { examineAgentAuth } from './agent-auth.ts';
import { examineAgentConfiguration } from './agent-configuration.ts';
import { authMdUrl, examineAuthMd, examineSkill } from './auth-document.ts';
import { findIssuerMetadata, type IssuerMetadata } from './authorization-server.ts';
import { examineChallenge } from './challenge.ts';
import { type Dialect, dialectsOf, examineDialects } from './dialects.ts';
import { ACCEPT_MARKDOWN, texts } from './documents.ts';
import { examineEndpoints } from './endpoints.ts';
import { type Finding, failed, hint, passed, shown } from './finding.ts';
import { examineKeySet } from './key-set.ts';
import { examineLlmsTxt } from './llms-txt.ts';
import { createProbeClient, PROBE_LIMITS, type ProbeClient, type ProbeLimits } from './probe-client.ts';
import { findResourceMetadata, type ResourceMetadata } from './protected-resource.ts';
import { examineRefusals, isProductionDialect } from './refusals.ts';
import { parseTarget, type Target, urlFault } from './target.ts';

/** The result of a check. `ok`: nothing is wrong; hints do not count. */
export interface Report {
  url: string;
  ok: boolean;
  dialects: Dialect[];
  findings: GroupedFinding[];
}

/** A finding and its section in the report. */
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
 * @throws Failure `badRequest` if the URL is not usable; every fault of the service is a finding instead
 */
export async function checkService(url: string, limits: ProbeLimits = PROBE_LIMITS): Promise<Report> {
  const target = parseTarget(url);
  const client = createProbeClient(target, limits);
  const answer = await client.look(target.url);
  if (answer.kind === 'trouble' && answer.isUnreachable) {
    return report(
      target,
      [],
      inGroup('service', [failed('service', `${target.url} ${answer.says}`, answer.next)]),
    );
  }
  // These depend on nothing else, so they start now and are read below.
  void client.get(authMdUrl(target.origin), ACCEPT_MARKDOWN);
  const llmsTxt = examineLlmsTxt(client, target);
  const configuration = examineAgentConfiguration(client, target);

  const challenge =
    answer.kind === 'reply' && answer.status === 401 ? answer.headers.get('www-authenticate') : null;
  const resource = await findResourceMetadata(client, target, challenge ?? undefined);
  const server = texts(resource.found?.document.authorization_servers)?.[0];
  const issuer = await findIssuerMetadata(client, target, server);
  const block = issuer.found && (await examineBlock(client, target, issuer.found));
  const [authMd, challenged, llms, agentConfiguration] = await Promise.all([
    examineAuthMd(client, target, issuer.found?.issuer ?? target.origin),
    examineResourceChallenge(client, target, answer, resource.found),
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
    ...inGroup('service', [
      examineScheme(target),
      ...examinePath(target, answer, issuer.found, resource.found),
    ]),
    ...inGroup('documents', [...authMd, llms]),
    ...inGroup('protected resource', [...resourceFindings, challenged]),
    ...inGroup('authorization server', [...issuer.findings, ...(block?.server ?? [])]),
    ...inGroup('agent_auth', block?.block ?? []),
    ...inGroup('answers', block?.answers ?? []),
    ...inGroup('agent-configuration', agentConfiguration),
  ]);
}

/** Examines the block `agent_auth`, and the URLs that the metadata names. */
async function examineBlock(client: ProbeClient, target: Target, { issuer, document }: IssuerMetadata) {
  const { block, findings } = examineAgentAuth(document);
  const { endpoints, findings: urls } = examineEndpoints(document, block, target, issuer);
  const [skill, keys, answers] = await Promise.all([
    endpoints.has('skill') ? examineSkill(client, target, endpoints.get('skill')!) : undefined,
    endpoints.has('jwks_uri') ? examineKeySet(client, endpoints.get('jwks_uri')!) : [],
    examineRefusals(client, endpoints, [target.origin, new URL(issuer).origin]),
  ]);
  const dialects = block === undefined ? [] : dialectsOf(document, block, answers.some(isProductionDialect));
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

/** Examines the challenge of the checked URL or, if that does not answer 401, of the resource that its metadata names. */
async function examineResourceChallenge(
  client: ProbeClient,
  target: Target,
  answer: Awaited<ReturnType<ProbeClient['look']>>,
  metadata: ResourceMetadata | undefined,
): Promise<Finding> {
  const resource = metadata?.document.resource;
  const asksForCredential = answer.kind === 'reply' && answer.status === 401;
  if (asksForCredential || resource === target.url || urlFault(resource, target) !== undefined) {
    return examineChallenge(client, target, target.url, answer, metadata);
  }
  const url = resource as string;
  return examineChallenge(client, target, url, await client.look(url), metadata);
}

/** Reports whether the checked URL is an issuer that names no resource at its own origin: it needs no resource metadata there. */
function isIssuerAlone(target: Target, { issuer, document: { resource } }: IssuerMetadata): boolean {
  if (issuer !== target.url) return false;
  return (
    typeof resource !== 'string' || !URL.canParse(resource) || new URL(resource).origin !== target.origin
  );
}

/** Examines whether the path exists. An issuer may answer nothing at its own URL, only at the URLs of its documents. */
function examinePath(
  { url, origin }: Target,
  answer: Awaited<ReturnType<ProbeClient['look']>>,
  issuer: IssuerMetadata | undefined,
  resource: ResourceMetadata | undefined,
): Finding[] {
  const isMissing = answer.kind === 'reply' && (answer.status === 404 || answer.status === 410);
  if (!isMissing || url === origin || issuer?.issuer === url) return [];
  const message = `${shown(url)} answers ${answer.status}`;
  return [
    resource?.document.resource === url
      ? hint('path', message, 'A GET of a resource is answered 401 without a credential, or 405.')
      : failed(
          'path',
          message,
          'Name a URL that is there: of the API, the MCP server, the site or the issuer.',
        ),
  ];
}

function examineScheme({ url, isLocal }: Target): Finding {
  if (url.startsWith('https:')) return passed('service', 'is served over TLS');
  return isLocal
    ? passed('service', 'is on this machine, where http will do')
    : failed('service', `${shown(url)} is not https`, 'Serve it over TLS: keys go over this line.');
}

function inGroup(group: GroupedFinding['group'], findings: Finding[]): GroupedFinding[] {
  return findings.map((finding) => ({ group, ...finding }));
}

function report(target: Target, dialects: Dialect[], findings: GroupedFinding[]): Report {
  return { url: target.url, ok: findings.every(({ ok }) => ok !== false), dialects, findings };
}
