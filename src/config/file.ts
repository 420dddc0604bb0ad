import { z } from 'zod';
import { capabilitiesSchema } from './capabilities.ts';
import { DEFAULT_TEXTS } from './default-texts.ts';
import { issuersSchema } from './issuers.ts';
import { count, limitsSchema } from './limits-schema.ts';

/** The schema of the configuration file, which is also published as a JSON Schema, and its defaults. */

/** The operator's name, links and colors. */
export interface Branding {
  name: string;
  /** A part of every key: `sk_acme_…`. */
  keyBrand: string;
  keys?: { prefix: string; form: 'checked' | 'bytes'; previous: string[] } | undefined;
  /** What a service of a capability begins with: `vouchsafe.api`. */
  capPrefix: string;
  contact?: string | undefined;
  logoUrl?: string | undefined;
  /** `#rrggbb` */
  accent: string;
  imprintUrl?: string | undefined;
  termsUrl?: string | undefined;
  privacyUrl?: string | undefined;
}

/** A scope, as configured. */
export interface Scope {
  description: string;
  /** The scopes that it includes. */
  implies?: string[] | undefined;
  /** Whether what it allows cannot be undone: MCP hosts ask before they use it. */
  destructive?: boolean | undefined;
}

/** How often an account may do an action per calendar month: an unclaimed agent's, and a claimed agent's or a human's. */
export interface Quota {
  anonymous: number;
  claimed: number;
}

/** A set of scopes with a title that people understand. */
export interface Preset {
  title: string;
  scopes: readonly string[];
  goodFor: string;
  recommended: boolean;
}

/** An audience: an API or MCP server that accepts our credentials, as configured. */
export interface Resource {
  url: string;
  name: string;
  /** How capabilities name it. */
  shortName: string | undefined;
  scopes: readonly string[];
  documentation: string | undefined;
  /** The kind of its access tokens: introspected (RFC 7662), or signed (RFC 9068). */
  tokens: 'opaque' | 'jwt';
}

const scopeName = z.string().regex(/^[A-Za-z0-9_:.-]{1,64}$/, 'must be a scope name such as "read"');
const webUrl = z.url({ protocol: /^https?$/ });

const nodeKind = z.string().regex(/^[a-z][a-z0-9_]{0,31}$/, 'must be a name such as "app"');

const keyPrefix = z
  .string()
  .regex(/^[a-z][a-z0-9]{0,15}(?:_[a-z0-9]{1,16}){0,2}_$/, 'must look like "sta_" or "acme_live_"');

const toolName = z.string().min(1).max(128);
const toolRule = z.union([
  scopeName,
  z.strictObject({
    argument: z.string().min(1).max(128),
    scopes: z.record(z.string().max(128), scopeName),
    otherwise: scopeName.optional(),
  }),
]);

/** Schema of the file; all members are optional. Unknown members are refused: a misspelled limit must not become a default. */
export const fileSchema = z.strictObject({
  $schema: z.string().optional(),
  service: z
    .strictObject({
      name: z.string().min(1).max(64).default('Vouchsafe'),
      keyBrand: z
        .string()
        .regex(/^[a-z0-9]{0,16}$/, 'must be up to 16 of a-z 0-9')
        .default(''),
      keys: z
        .strictObject({
          prefix: keyPrefix.describe('What keys begin with'),
          form: z
            .enum(['checked', 'bytes'])
            .default('checked')
            .describe(
              'checked: 43 random characters and a checksum of 6, so that a mistyped key costs no look into the database. bytes: 32 random bytes in base64url, without checksum: a mistyped key costs a look',
            ),
          previous: z
            .array(keyPrefix)
            .max(8)
            .default([])
            .describe(
              'What earlier keys begin with, which go on working: "sk_" for those from before this setting',
            ),
        })
        .optional(),
      capPrefix: z
        .string()
        .regex(/^[a-z0-9]{1,16}$/, 'must be 1 to 16 of a-z 0-9')
        .default('vouchsafe'),
      contact: z.string().max(254).optional(),
      logoUrl: webUrl.optional(),
      accent: z
        .string()
        .regex(/^#[0-9a-f]{6}$/i, 'must be a color such as "#0b6351"')
        .default('#0b6351'),
      imprintUrl: webUrl.optional(),
      termsUrl: webUrl.optional(),
      privacyUrl: webUrl.optional(),
    })
    .prefault({}),
  scopes: z
    .record(
      scopeName,
      z.strictObject({
        description: z.string().min(1).max(200),
        implies: z.array(scopeName).min(1).optional(),
        destructive: z.boolean().optional(),
      }),
    )
    .default({
      read: { description: DEFAULT_TEXTS['default.read'] },
      write: { description: DEFAULT_TEXTS['default.write'] },
    }),
  anonymousScopes: z.array(scopeName).min(1).default(['read']),
  claimedScopes: z.array(scopeName).min(1).default(['read', 'write']),
  humanScopes: z.array(scopeName).min(1).optional(),
  deviceForNewClients: z.boolean().default(true),
  policy: z
    .strictObject({
      tools: z.record(toolName, toolRule),
      lookingScopes: z.array(scopeName).min(1).optional(),
      deny: z.array(toolName).default([]),
      kinds: z
        .partialRecord(
          z.enum(['anonymous', 'claimed', 'personal', 'app', 'app_key', 'delegated']),
          z.array(toolName),
        )
        .default({}),
      forms: z.partialRecord(z.enum(['key', 'token']), z.array(toolName)).default({}),
    })
    .optional(),
  quotas: z
    .record(
      z.string().regex(/^[a-z0-9_.-]{1,64}$/, 'must be the name of an action such as "send"'),
      z.strictObject({ anonymous: count(10), claimed: count(100) }),
    )
    .default({}),
  presets: z
    .record(
      z.string().regex(/^[a-z0-9-]{1,32}$/, 'must be a name such as "read-only"'),
      z.strictObject({
        title: z.string().min(1).max(64),
        scopes: z.array(scopeName).min(1),
        goodFor: z.string().min(1).max(200),
        recommended: z.boolean().default(false),
      }),
    )
    .optional(),
  resources: z
    .array(
      z.strictObject({
        url: webUrl.refine((url) => !url.includes('#'), 'must be a URL without fragment'), // RFC 8707 section 2
        name: z.string().min(1).max(64),
        shortName: z
          .string()
          .regex(/^[a-z][a-z0-9_-]{0,31}$/, 'must be a name such as "api"')
          .optional(),
        scopes: z.array(scopeName).min(1).optional(),
        documentation: webUrl.optional(),
        tokens: z.enum(['opaque', 'jwt']).default('opaque'),
      }),
    )
    .default([]),
  trustedIssuers: issuersSchema,
  capabilities: capabilitiesSchema,
  workspaces: z
    .strictObject({
      keyIssuers: z
        .array(z.enum(['owner', 'admin', 'member']))
        .min(1)
        .default(['owner', 'admin']),
      appApprovers: z
        .array(z.enum(['owner', 'admin', 'member']))
        .min(1)
        .optional(),
      appKinds: z.array(nodeKind).default(['app']),
      types: z.array(nodeKind).max(32).default([]),
      signed: z.boolean().default(false),
      grantByTerminal: z.boolean().default(false),
    })
    .prefault({}),
  operators: z.array(z.string().max(254)).max(100).default([]),
  claimMode: z.enum(['both', 'reveal', 'typed']).default('both'),
  limits: limitsSchema.prefault({}),
  claimExistingAccount: z.enum(['otp', 'confirm']).default('otp'),
});

/** The file, checked and with defaults. */
export type ConfigFile = z.output<typeof fileSchema>;

/** The settings of shared workspaces, with defaults. */
export type WorkspaceSettings = ConfigFile['workspaces'] & {
  appApprovers: ConfigFile['workspaces']['keyIssuers'];
};

/** Returns the presets of an operator who configures none: those whose scopes `read` and `write` exist. */
export function defaultPresets(scopes: Map<string, unknown>): Record<string, Preset> {
  const presets: Record<string, Preset> = {
    'read-only': {
      title: DEFAULT_TEXTS['default.readOnly'],
      scopes: ['read'],
      goodFor: DEFAULT_TEXTS['default.readOnlyGoodFor'],
      recommended: true,
    },
    'read-write': {
      title: DEFAULT_TEXTS['default.readWrite'],
      scopes: ['read', 'write'],
      goodFor: DEFAULT_TEXTS['default.readWriteGoodFor'],
      recommended: false,
    },
  };
  const known = Object.entries(presets).filter(([, preset]) =>
    preset.scopes.every((name) => scopes.has(name)),
  );
  return Object.fromEntries(known);
}
