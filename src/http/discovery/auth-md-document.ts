import { readFileSync } from 'node:fs';
import type { Config } from '../../config/load.ts';
import type { Audience } from '../../domain/audiences/audience.ts';
import { scopesOf } from './llms-txt.ts';

const TEMPLATE = readFileSync(new URL('../../../auth.md', import.meta.url), 'utf8');

/**
 * Renders auth.md: fills the placeholders `{{…}}` of the template with the names, limits and audiences of this service.
 *
 * @param audiences the first one is the default
 */
export function renderAuthMd(config: Config, audiences: readonly Audience[]): string {
  const { limits } = config;
  const values: Record<string, string> = {
    issuer: config.publicUrl,
    service: config.service.name,
    audiences: audiences
      .map((each) => `- ${each.url} (${each.name}): \`${scopesOf(config, each).join(' ')}\``)
      .join('\n'),
    resource: audiences[0]!.url,
    anonymous_scopes: config.anonymousScopes.join(' '),
    claimed_scopes: config.claimedScopes.join(' '),
    claimed_scopes_json: JSON.stringify(config.claimedScopes),
    anonymous_scopes_json: JSON.stringify(config.anonymousScopes),
    scope_list: [...config.scopes]
      .map(([name, { description }]) => `- \`${name}\`: ${description}`)
      .join('\n'),
    code_minutes: String(Math.ceil(limits.codeTtlSeconds / 60)),
    tries: String(limits.triesPerCode),
    codes: String(limits.codesPerClaim),
    claim_hours: String(Math.ceil(limits.claimTtlSeconds / 3600)),
    unclaimed_days: String(Math.ceil(limits.unclaimedTtlSeconds / 86_400)),
    register_max: String(limits.registerPerIp.max),
    register_window: formatWindow(limits.registerPerIp.windowSeconds),
  };
  return TEMPLATE.replace(/\{\{(\w+)\}\}/g, (whole, name: string) => values[name] ?? whole);
}

/** Formats a window of a limit: "hour", "15 minutes". */
function formatWindow(seconds: number): string {
  const [size, unit] = (
    [
      [86_400, 'day'],
      [3600, 'hour'],
      [60, 'minute'],
    ] as const
  ).find(([each]) => seconds % each === 0) ?? [1, 'second'];
  return seconds === size ? unit : `${seconds / size} ${unit}s`;
}
