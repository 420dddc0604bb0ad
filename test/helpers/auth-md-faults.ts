import type { AskLimits } from '../../src/check/ask.ts';
import {
  challenge,
  endless,
  HTML,
  hang,
  ISSUER_METADATA,
  METADATA,
  PRIVATE_JWK,
  PUBLIC_JWK,
  ROOT_METADATA,
  redirect,
  type Site,
  text,
} from './auth-md-service.ts';

/** What can be wrong with a service's auth.md, one thing at a time, and what is to be said about it. */

export interface Fault {
  fault: string;
  /** Makes the fault, in a service that is whole otherwise. */
  make(site: Site): void;
  /** The finding, and what it and its next step say. */
  name: string;
  says: RegExp;
  next: RegExp;
  /** Of what breaks nothing. */
  isHint?: true;
  /** Hints that cannot but come with it. */
  also?: string[];
  limits?: Partial<AskLimits>;
}

/** Each breaks one thing, and is found alone. */
export const FAULTS: Fault[] = [
  {
    fault: 'no auth.md',
    make: ({ pages }) => pages.delete('GET /auth.md'),
    name: 'auth.md',
    says: /\/auth\.md answers 404/,
    next: /Serve a markdown document at \/auth\.md/,
  },
  {
    fault: 'the page of the site in place of auth.md',
    make: ({ pages }) => pages.set('GET /auth.md', HTML),
    name: 'auth.md',
    says: /page of HTML where markdown is due/,
    next: /Serve a markdown document/,
  },
  {
    fault: 'auth.md of a type that browsers download',
    make: ({ pages }) => pages.set('GET /auth.md', text('# auth.md\nRegister', 'application/octet-stream')),
    name: 'auth.md',
    says: /of the type "application\/octet-stream"/,
    next: /Content-Type: text\/markdown/,
  },
  {
    fault: 'auth.md as plain text',
    make: ({ pages }) => pages.set('GET /auth.md', text('# auth.md\nRegister', 'text/plain')),
    name: 'auth.md',
    says: /of the type "text\/plain"/,
    next: /Content-Type: text\/markdown/,
    isHint: true,
  },
  {
    fault: 'auth.md without a heading but for a comment in its code',
    make: ({ pages }) => pages.set('GET /auth.md', text('Register:\n```\n# register\n```\n')),
    name: 'auth.md heading',
    says: /no heading/,
    next: /Begin it with "# auth\.md/,
  },
  {
    fault: 'a heading by which scanners do not know auth.md',
    make: ({ pages }) => pages.set('GET /auth.md', text('Our API\n=======\nRegister so.\n')),
    name: 'auth.md heading',
    says: /"Our API" mentions neither/,
    next: /Begin it with/,
  },
  {
    fault: 'auth.md that does not tell how to register',
    make: ({ pages }) => pages.set('GET /auth.md', text('# auth.md\n\nHello.\n')),
    name: 'auth.md words',
    says: /does not say how to register/,
    next: /with which request/,
  },
  {
    fault: 'auth.md that hangs',
    make: ({ pages }) => pages.set('GET /auth.md', hang),
    name: 'auth.md',
    says: /does not answer within 3 seconds/,
    next: /what it waits for/,
    limits: { requestMs: 3000 },
  },
  {
    fault: 'auth.md that sends some bytes and hangs',
    make: ({ pages }) =>
      pages.set('GET /auth.md', (_, response) => void response.writeHead(200).write('# auth')),
    name: 'auth.md',
    says: /does not answer within 3 seconds/,
    next: /what it waits for/,
    limits: { requestMs: 3000 },
  },
  {
    fault: 'auth.md that leads in a circle',
    make: ({ pages }) => pages.set('GET /auth.md', redirect('/auth.md')),
    name: 'auth.md',
    says: /redirects more than 3 times/,
    next: /Answer at this address/,
  },
  {
    fault: 'auth.md that leads to what is not https',
    make: ({ pages }) => pages.set('GET /auth.md', redirect('http://public.example/auth.md')),
    name: 'auth.md',
    says: /redirects to "http:\/\/public\.example\/auth\.md", which is not https/,
    next: /Answer at this address/,
  },
  {
    fault: 'a redirect before the metadata of the issuer',
    make: ({ pages }) => {
      pages.set('GET /as.json', pages.get(`GET ${ISSUER_METADATA}`)!);
      pages.set(`GET ${ISSUER_METADATA}`, redirect('/as.json'));
    },
    name: 'issuer metadata',
    says: /leads to http.*\/as\.json/,
    next: /many clients follow no redirect/,
    isHint: true,
  },
  {
    fault: 'no metadata of the resource',
    make: ({ pages }) => {
      for (const path of [METADATA, ROOT_METADATA]) pages.delete(`GET ${path}`);
    },
    name: 'resource metadata',
    says: /oauth-protected-resource\/mcp answers 404/,
    next: /Serve RFC 9728 metadata/,
  },
  {
    fault: 'the page of the site in place of the metadata of the resource',
    make: ({ pages }) => pages.set(`GET ${METADATA}`, HTML),
    name: 'resource metadata',
    says: /page of HTML where JSON is due/,
    next: /Serve RFC 9728 metadata/,
  },
  {
    fault: 'metadata of the resource that is no JSON',
    make: ({ pages }) => pages.set(`GET ${METADATA}`, { body: '{"resource": ' }),
    name: 'resource metadata',
    says: /is not a JSON object/,
    next: /Serve RFC 9728 metadata/,
  },
  {
    fault: 'metadata of the resource as text',
    make: ({ pages, resource }) => pages.set(`GET ${METADATA}`, { type: 'text/plain', body: resource }),
    name: 'resource metadata',
    says: /JSON of the type "text\/plain"/,
    next: /Content-Type: application\/json/,
  },
  {
    fault: 'metadata of the resource at the root alone',
    make: ({ pages, origin }) => {
      pages.delete(`GET ${METADATA}`);
      pages.set('GET /mcp', challenge(`Bearer resource_metadata="${origin}${ROOT_METADATA}"`));
    },
    name: 'resource metadata',
    says: /but not at .*\/mcp$/,
    next: /Serve it there, too/,
    isHint: true,
  },
  {
    fault: 'no metadata of the resource at the root',
    make: ({ pages }) => pages.delete(`GET ${ROOT_METADATA}`),
    name: 'resource metadata at the root',
    says: /oauth-protected-resource is not there/,
    next: /Scanners/,
    isHint: true,
  },
  {
    fault: 'metadata of another resource',
    make: ({ resource, origin }) => {
      resource.resource = `${origin}/other`;
    },
    name: 'resource',
    says: /\/other" is not the URL it was found for/,
    next: /Set it to ".*\/mcp"/,
  },
  {
    fault: 'a relative resource',
    make: ({ resource }) => {
      resource.resource = '/mcp';
    },
    name: 'resource',
    says: /"\/mcp" is not an absolute URL/,
    next: /Set it to ".*\/mcp"/,
  },
  {
    fault: 'no authorization server',
    make: ({ resource }) => {
      resource.authorization_servers = [];
    },
    name: 'authorization_servers',
    says: /\[\] is not a list of URLs/,
    next: /List the URL of the issuer/,
  },
  {
    fault: 'an authorization server that is no list',
    make: ({ resource, origin }) => {
      resource.authorization_servers = origin;
    },
    name: 'authorization_servers',
    says: /is not a list of URLs/,
    next: /List the URL of the issuer/,
  },
  {
    fault: 'an authorization server without TLS',
    make: ({ resource }) => {
      resource.authorization_servers = ['http://id.example.com'];
    },
    name: 'authorization_servers',
    says: /"http:\/\/id\.example\.com" is not https/,
    next: /List the URL of the issuer/,
  },
  {
    fault: 'scopes as one text',
    make: ({ resource }) => {
      resource.scopes_supported = 'read write';
    },
    name: 'scopes_supported',
    says: /"read write" is not a list of texts/,
    next: /list of texts/,
  },
  {
    fault: 'no word on how a token is sent',
    make: ({ resource }) => {
      delete resource.bearer_methods_supported;
    },
    name: 'bearer_methods_supported',
    says: /is not there/,
    next: /Scanners want it/,
    isHint: true,
  },
  {
    fault: 'no metadata of the issuer',
    make: ({ pages }) => pages.delete(`GET ${ISSUER_METADATA}`),
    name: 'issuer metadata',
    says: /oauth-authorization-server answers 404/,
    next: /Serve RFC 8414 metadata/,
  },
  {
    fault: 'metadata of the issuer in a list',
    make: ({ pages, issuer }) => pages.set(`GET ${ISSUER_METADATA}`, { body: [issuer] }),
    name: 'issuer metadata',
    says: /is not a JSON object/,
    next: /Serve RFC 8414 metadata/,
  },
  {
    fault: 'metadata of the issuer without end',
    make: ({ pages }) => pages.set(`GET ${ISSUER_METADATA}`, endless),
    name: 'issuer metadata',
    says: /larger than clients read \(256 KB\)/,
    next: /Serve less/,
  },
  {
    fault: 'metadata of another issuer',
    make: ({ issuer }) => {
      issuer.issuer = 'https://id.example.com';
    },
    name: 'issuer',
    says: /"https:\/\/id\.example\.com" is not "http:.*", by which it was looked up/,
    next: /Set it to "http:.*", to the letter/,
  },
  {
    fault: 'an issuer with a slash that the resource does not name',
    make: ({ issuer, origin }) => {
      issuer.issuer = `${origin}/`;
    },
    name: 'issuer',
    says: /differs by a slash/,
    next: /to the letter/,
  },
  {
    fault: 'metadata without issuer, next to a token endpoint',
    make: ({ issuer }) => {
      delete issuer.issuer;
    },
    name: 'issuer',
    says: /is not there/,
    next: /Set it to "http:/,
  },
  {
    fault: 'an issuer with a slash, where clients that put texts together find nothing',
    make: ({ issuer, resource, origin }) => {
      issuer.issuer = `${origin}/`;
      resource.authorization_servers = [`${origin}/`];
    },
    name: 'issuer with a slash',
    says: /\/\/\.well-known\/oauth-authorization-server is not there/,
    next: /Name the issuer without it/,
    isHint: true,
  },
  {
    fault: 'metadata without response types',
    make: ({ issuer }) => {
      delete issuer.response_types_supported;
    },
    name: 'response_types_supported',
    says: /is not there/,
    next: /RFC 8414 requires it/,
    isHint: true,
  },
  {
    fault: 'assertions without a token endpoint',
    make: ({ issuer }) => {
      delete issuer.token_endpoint;
    },
    name: 'token_endpoint',
    says: /is not there/,
    next: /exchanged for access tokens/,
  },
  {
    fault: 'assertions without their grant',
    make: ({ issuer }) => issuer.grant_types_supported.shift(),
    name: 'grant_types_supported',
    says: /lacks the grant for assertions/,
    next: /List urn:ietf:params:oauth:grant-type:jwt-bearer/,
  },
  {
    fault: 'no grant to poll by',
    make: ({ issuer }) => issuer.grant_types_supported.pop(),
    name: 'claim grant',
    says: /is not listed/,
    next: /v0\.4 to v0\.6 poll/,
    isHint: true,
  },
  {
    fault: 'a key set that is not there',
    make: ({ pages }) => pages.delete('GET /jwks.json'),
    name: 'jwks_uri',
    says: /jwks\.json answers 404/,
    next: /Serve a JWK Set/,
  },
  {
    fault: 'a key set without keys',
    make: ({ keys }) => {
      keys.keys = [];
    },
    name: 'jwks_uri',
    says: /its keys are not there: \[\]/,
    next: /at least one public key/,
  },
  {
    fault: 'a private key in the key set',
    make: ({ keys }) => {
      keys.keys.push({ ...PRIVATE_JWK, kid: 'two' });
    },
    name: 'keys of jwks_uri',
    says: /key 2 is published with its private part/,
    next: /Replace the key now/,
  },
  {
    fault: 'a shared secret in the key set',
    make: ({ keys }) => {
      keys.keys = [{ kty: 'oct', k: 'c2VjcmV0', kid: 'one' }];
    },
    name: 'keys of jwks_uri',
    says: /key 1 is published with its private part/,
    next: /Replace the key now/,
  },
  {
    fault: 'a key that nobody can read',
    make: ({ keys }) => {
      keys.keys = [{ ...PUBLIC_JWK, y: PUBLIC_JWK.x }];
    },
    name: 'keys of jwks_uri',
    says: /key 1 \("EC"\) cannot be read/,
    next: /RFC 7518/,
  },
  {
    fault: 'two keys of one name',
    make: ({ keys }) => {
      keys.keys.push(PUBLIC_JWK);
    },
    name: 'keys of jwks_uri',
    says: /cannot be told apart/,
    next: /a "kid" of its own/,
  },
  {
    fault: 'no block for agents',
    make: ({ issuer }) => {
      delete issuer.agent_auth;
    },
    name: 'agent_auth',
    says: /is not there/,
    next: /Add the block/,
  },
  {
    fault: 'a block for agents that is a list',
    make: ({ issuer }) => {
      issuer.agent_auth = [];
    },
    name: 'agent_auth',
    says: /\[\] is no object/,
    next: /Add the block/,
  },
  {
    fault: 'no skill',
    make: ({ block }) => {
      delete block.skill;
    },
    name: 'skill',
    says: /is not there/,
    next: /URL of \/auth\.md/,
  },
  {
    fault: 'a skill that leads nowhere',
    make: ({ block, origin }) => {
      block.skill = `${origin}/skill.md`;
    },
    name: 'skill',
    says: /\/skill\.md answers 404/,
    next: /Let "skill" of agent_auth name/,
  },
  {
    fault: 'a skill that is a page',
    make: ({ block, origin, pages }) => {
      block.skill = `${origin}/skill.md`;
      pages.set('GET /skill.md', HTML);
    },
    name: 'skill',
    says: /page of HTML where markdown is due/,
    next: /Let "skill" of agent_auth name/,
  },
  {
    fault: 'a relative skill',
    make: ({ block }) => {
      block.skill = '/auth.md';
    },
    name: 'URL of skill',
    says: /"\/auth\.md" is not an absolute URL/,
    next: /absolute https URL/,
  },
  {
    fault: 'nowhere to register',
    make: ({ block }) => {
      delete block.register_uri;
      delete block.identity_endpoint;
      block.identity_types_supported = ['anonymous'];
    },
    name: 'registration',
    says: /nobody can register/,
    next: /Add "identity_endpoint"/,
    also: ['dialects'],
  },
  {
    fault: 'nowhere to register for clients of v0.1',
    make: ({ block }) => {
      delete block.register_uri;
    },
    name: 'register_uri',
    says: /is not there/,
    next: /Scanners/,
    isHint: true,
  },
  {
    fault: 'a claim endpoint with a slash',
    make: ({ block }) => {
      block.claim_endpoint += '/';
    },
    name: 'claim_endpoint',
    says: /ends in a slash/,
    next: /Drop it: clients put "\/complete" behind/,
  },
  {
    fault: 'nowhere to claim',
    make: ({ block }) => {
      delete block.claim_endpoint;
    },
    name: 'claim_endpoint',
    says: /is not there, next to identity_endpoint/,
    next: /claimed by its human/,
  },
  {
    fault: 'nowhere to claim for clients of v0.1',
    make: ({ block }) => {
      delete block.claim_uri;
    },
    name: 'claim_uri',
    says: /is not there, next to register_uri/,
    next: /claimed by its human/,
  },
  {
    fault: 'no list of ways to register',
    make: ({ block }) => {
      delete block.identity_types_supported;
    },
    name: 'identity_types_supported',
    says: /is not there/,
    next: /Some clients crash/,
  },
  {
    fault: 'ways to register that are no list',
    make: ({ block }) => {
      block.identity_types_supported = 'anonymous';
    },
    name: 'identity_types_supported',
    says: /"anonymous" is not a list/,
    next: /Some clients crash/,
  },
  {
    fault: 'a way to register that nobody knows',
    make: ({ block }) => block.identity_types_supported.push('user_claimed'),
    name: 'identity_types_supported',
    says: /\["user_claimed"\] is of no version/,
    next: /do not know what to send/,
    isHint: true,
  },
  {
    fault: 'anonymous registration that does not say for which credentials',
    make: ({ block }) => {
      delete block.anonymous;
    },
    name: 'anonymous.credential_types_supported',
    says: /is not there/,
    next: /such as \["api_key"\]/,
  },
  {
    fault: 'assertions of no type',
    make: ({ block }) => {
      block.identity_assertion.assertion_types_supported = [];
    },
    name: 'identity_assertion.assertion_types_supported',
    says: /is not a list of types/,
    next: /id-jag or verified_email/,
  },
  {
    fault: 'service_auth without the endpoint for it',
    make: ({ block, pages }) => {
      delete block.identity_endpoint;
      pages.delete('POST /agent/identity');
    },
    name: 'service_auth',
    says: /without an identity_endpoint/,
    next: /Add identity_endpoint/,
    also: ['identity_endpoint'],
  },
  {
    fault: 'events, and nowhere to send them',
    make: ({ block }) => {
      delete block.events_endpoint;
    },
    name: 'events_supported',
    says: /no endpoint to send them to/,
    next: /Add events_endpoint/,
  },
  {
    fault: 'an endpoint for no event',
    make: ({ block }) => {
      block.events_supported = [];
    },
    name: 'events_supported',
    says: /but no event/,
    next: /should be enforced/,
    isHint: true,
  },
  {
    fault: 'an endpoint without TLS',
    make: ({ block }) => {
      block.register_uri = 'http://api.example.com/agent/auth';
    },
    name: 'URL of register_uri',
    says: /"http:\/\/api\.example\.com\/agent\/auth" is not https/,
    next: /absolute https URL/,
  },
  {
    fault: 'an endpoint with a password in its URL',
    make: ({ issuer }) => {
      issuer.revocation_endpoint = 'https://me:pw@api.example.com/revoke';
    },
    name: 'URL of revocation_endpoint',
    says: /carries a name or password/,
    next: /absolute https URL/,
  },
  {
    fault: 'an endpoint at another origin',
    make: ({ issuer }) => {
      issuer.token_endpoint = 'https://api.example.com/token';
    },
    name: 'URL of token_endpoint',
    says: /at another origin/,
    next: /Make sure that this is meant/,
    isHint: true,
  },
  {
    fault: 'a refusal without a challenge',
    make: ({ pages }) => pages.set('GET /mcp', { status: 401 }),
    name: 'challenge',
    says: /401 without WWW-Authenticate/,
    next: /Send WWW-Authenticate: Bearer resource_metadata="http.*\/mcp"/,
  },
  {
    fault: 'a challenge that does not say where to go',
    make: ({ pages }) => pages.set('GET /mcp', challenge('Bearer realm="api"')),
    name: 'challenge',
    says: /401 without resource_metadata/,
    next: /Bearer resource_metadata="http.*\/mcp"/,
  },
  {
    fault: 'a challenge for passwords',
    make: ({ pages }) => pages.set('GET /mcp', challenge('Basic realm="bearer"')),
    name: 'challenge',
    says: /not for a bearer/,
    next: /Bearer resource_metadata=/,
  },
  {
    fault: 'a challenge that leads nowhere',
    make: ({ pages, origin }) =>
      pages.set('GET /mcp', challenge(`Bearer resource_metadata="${origin}/nowhere"`)),
    name: 'challenge',
    says: /leads nowhere: .*\/nowhere answers 404/,
    next: /Bearer resource_metadata=/,
  },
  {
    fault: 'a challenge that points at another resource',
    make: ({ pages, origin, resource }) => {
      pages.set('GET /other', { body: { ...resource, resource: `${origin}/other` } });
      pages.set('GET /mcp', challenge(`Bearer resource_metadata="${origin}/other"`));
    },
    name: 'challenge',
    says: /which describes "http.*\/other"/,
    next: /make both say the same/,
  },
  {
    fault: 'a resource that breaks without a credential',
    make: ({ pages }) => pages.set('GET /mcp', { status: 500 }),
    name: 'challenge',
    says: /answers 500 without a credential/,
    next: /Answer 401 with/,
  },
  {
    fault: 'a resource that asks nobody for a credential',
    make: ({ pages }) => pages.set('GET /mcp', endless),
    name: 'challenge',
    says: /answers 200 .* no challenge was seen/,
    next: /Where a credential is needed/,
    isHint: true,
  },
  {
    fault: 'a refusal that is a page',
    make: ({ pages }) => pages.set('POST /agent/identity', { ...HTML, status: 400 }),
    name: 'refusal of identity_endpoint',
    says: /answers 400 with a page of HTML/,
    next: /Answer 400 with JSON/,
  },
  {
    fault: 'registration that breaks at an empty request',
    make: ({ pages }) => pages.set('POST /agent/auth', { status: 500, body: { error: 'internal_error' } }),
    name: 'refusal of register_uri',
    says: /answers 500/,
    next: /Answer 400 with JSON/,
  },
  {
    fault: 'registration that takes an empty request',
    make: ({ pages }) => pages.set('POST /agent/auth', { body: { ok: true } }),
    name: 'refusal of register_uri',
    says: /answers 200/,
    next: /Answer 400 with JSON/,
  },
  {
    fault: 'registration that is not there',
    make: ({ pages }) => pages.delete('POST /agent/auth'),
    name: 'refusal of register_uri',
    says: /answers 404/,
    next: /Serve registration there/,
  },
  {
    fault: 'registration that leads elsewhere',
    make: ({ pages }) => pages.set('POST /agent/auth', redirect('/agent/identity')),
    name: 'refusal of register_uri',
    says: /answers 302/,
    next: /Answer 400 with JSON/,
  },
  {
    fault: 'registration that hangs',
    make: ({ pages }) => pages.set('POST /agent/auth', hang),
    name: 'refusal of register_uri',
    says: /does not answer within 3 seconds/,
    next: /what it waits for/,
    limits: { requestMs: 3000 },
  },
  {
    fault: 'registration that hangs up',
    make: ({ pages }) => pages.set('POST /agent/auth', (request) => void request.socket.destroy()),
    name: 'refusal of register_uri',
    says: /closes the connection/,
    next: /Look at the log/,
  },
  {
    fault: 'a refusal without an error',
    make: ({ pages }) => pages.set('POST /agent/auth', { status: 422, body: { detail: 'Field required' } }),
    name: 'refusal of register_uri',
    says: /answers 422 without "error"/,
    next: /Answer 400 with JSON/,
  },
  {
    fault: 'a refusal that names its error otherwise',
    make: ({ pages }) => pages.set('POST /agent/auth', { status: 400, body: { code: 'invalid_request' } }),
    name: 'refusal of register_uri',
    says: /with "code", but no "error"/,
    next: /Answer 400 with JSON/,
    isHint: true,
  },
  {
    fault: 'registration that has had enough',
    make: ({ pages }) => pages.set('POST /agent/auth', { status: 429 }),
    name: 'refusal of register_uri',
    says: /too many requests/,
    next: /Check again later/,
    isHint: true,
  },
];
