import type { ProbeLimits } from '../../src/check/probe-client.ts';
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
  limits?: Partial<ProbeLimits>;
}

/** Each breaks one thing, and is found alone. */
export const DOCUMENT_FAULTS: Fault[] = [
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
];
