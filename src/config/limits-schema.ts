import { z } from 'zod';
import type { Rate } from './limits.ts';

const UNIT_SECONDS = { s: 1, m: 60, h: 3600, d: 86_400 } as const;

const rate = (fallback: string) =>
  z
    .string()
    .regex(/^[1-9][0-9]{0,8}\/(?:[1-9][0-9]{0,4})?[smhd]$/, 'must look like "10/h" or "100/15m"')
    .default(fallback)
    .transform((text): Rate => {
      const [max, window] = text.split('/') as [string, string];
      const unit = window.at(-1) as keyof typeof UNIT_SECONDS;
      return { max: Number(max), windowSeconds: Number(window.slice(0, -1) || '1') * UNIT_SECONDS[unit] };
    });
/** A number of things. */
export const count = (fallback: number) => z.int().min(1).max(1_000_000_000).default(fallback);
const seconds = (fallback: number, max: number) => z.int().min(1).max(max).default(fallback);

/** Schema of `limits` in the configuration file. */
export const limitsSchema = z.strictObject({
  registerPerIp: rate('10/h'),
  registerPerService: rate('2000/h'),
  clientsPerIp: rate('60/h'),
  clientsPerService: rate('20000/d'),
  documentsPerIp: rate('10/m'),
  documentsPerHost: rate('60/m'),
  pushedRequestsPerIp: rate('6000/h'),
  deviceCodesPerIp: rate('600/h'),
  claimMailPerIp: rate('20/h'),
  claimMailPerAgent: rate('5/d'),
  codeTtlSeconds: seconds(600, 600), // S-02: configuration can only shorten it
  triesPerCode: z.int().min(1).max(5).default(5),
  codesPerClaim: count(3),
  codesPerMailboxHour: count(5),
  codesPerMailboxDay: count(10),
  wrongPerMailboxDay: count(10),
  wrongPerIpHour: count(20),
  wrongPerServiceDay: count(10_000),
  signInMailPerIp: rate('20/h'),
  signInMailPerMailbox: rate('30/h'),
  signInMailPerMailboxIp: rate('5/h'),
  signInWrongPerMailboxDay: count(10),
  signInWrongPerIpHour: count(20),
  secondFactorWrongPerMailboxDay: count(10),
  claimTtlSeconds: seconds(86_400, 30 * 86_400),
  unclaimedTtlSeconds: seconds(2_592_000, 366 * 86_400),
  assertionTtlSeconds: seconds(3600, 86_400),
  accessTokenTtlSeconds: seconds(3600, 86_400),
  signedTokenTtlSeconds: seconds(300, 3600),
  refreshTtlSeconds: seconds(2_592_000, 366 * 86_400),
  tokensPerAgent: rate('600/h'),
  tokensPerClient: rate('60/m'),
  keysPerAccount: count(100),
  clientsPerAccount: count(100),
  assertionsPerIssuer: rate('1000/h'),
  agentsPerHost: rate('100/d'),
  agentIdleSeconds: seconds(3600, 366 * 86_400),
  agentLifetimeSeconds: seconds(86_400, 366 * 86_400),
  agentAbsoluteSeconds: seconds(2_592_000, 10 * 366 * 86_400),
  workspacesPerAccount: rate('5/d'),
  workspacesOwned: count(20),
  membersPerWorkspace: count(200),
  openInvitations: count(50),
  invitesPerWorkspace: rate('20/d'),
  invitesPerAccount: rate('20/d'),
  invitationTtlSeconds: seconds(604_800, 30 * 86_400),
  placedKeysPerWorkspace: count(500),
  nodeBatches: rate('600/m'),
  nodesPerWorkspace: count(10_000),
  nodesPerResourceServer: count(1_000_000),
  treesPerResourceServer: rate('10000/d'),
  permissionsPerIp: rate('30/h'),
  permissionSeconds: seconds(90 * 86_400, 366 * 86_400),
  openPermissionRequests: count(20),
  sessionKeysPerAgent: count(3),
});
