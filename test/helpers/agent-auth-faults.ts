import type { Fault } from './auth-md-faults.ts';
import { challenge, endless, HTML, hang, redirect } from './auth-md-service.ts';

/** What can be wrong with the agent_auth block, with challenges and with refusals, one thing at a time. */

export const AGENT_AUTH_FAULTS: Fault[] = [
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
