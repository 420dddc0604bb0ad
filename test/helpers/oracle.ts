import type { Db } from '../../src/store/engine/db.ts';

/** Of a registration `r`: its owner has not let the agent go again. */
const KEPT = `NOT EXISTS (SELECT 1 FROM claims k WHERE k.registration_id = r.id AND k.end_reason = 'released')`;
/** Of a registration `r`: its agent lives by keys that it was given, and not by an identity, nor by what v0.1 of auth.md gives. */
const BY_KEY = `r.kind IN ('anonymous', 'identity_assertion') AND r.credential_type IS NULL
  AND NOT EXISTS (SELECT 1 FROM refresh_tokens t WHERE t.registration_id = r.id)`;

/** Of a registration `r`: it is of an agent, and not of a host of agents. */
const OF_AGENT = `r.kind <> 'host'`;
/** Of an agent `g`: it is one of the host that its registration is of. */
const UNDER_HOST = `EXISTS (SELECT 1 FROM hosted_agents u JOIN hosts o ON o.id = u.host_id
  WHERE u.id = g.id AND o.registration_id = g.registration_id)`;

/** What must never be found in a database, whatever happened to the service (docs/security.md, reliability). */
const NEVER: Record<string, string> = {
  'a workspace without an owner': `
    FROM workspaces w WHERE w.ended_at IS NULL AND NOT EXISTS (SELECT 1 FROM members m
      WHERE m.workspace_id = w.id AND m.role = 'owner' AND m.ended_at IS NULL)`,
  'a member, an open invitation, a place or a node in a workspace that has ended': `
    FROM workspaces w WHERE w.ended_at IS NOT NULL AND (
      EXISTS (SELECT 1 FROM members m WHERE m.workspace_id = w.id AND m.ended_at IS NULL)
      OR EXISTS (SELECT 1 FROM invitations i WHERE i.workspace_id = w.id AND i.accepted_at IS NULL AND i.ended_at IS NULL)
      OR EXISTS (SELECT 1 FROM places p WHERE p.workspace_id = w.id AND p.ended_at IS NULL)
      OR EXISTS (SELECT 1 FROM nodes n WHERE n.workspace_id = w.id AND n.ended_at IS NULL))`,
  'a place in a workspace that somebody gave who is not in it': `
    FROM places p JOIN workspaces w ON w.id = p.workspace_id
    WHERE p.ended_at IS NULL AND p.granted_by <> p.workspace_id AND NOT EXISTS (SELECT 1 FROM members m
      WHERE m.workspace_id = p.workspace_id AND m.account_id = p.granted_by AND m.ended_at IS NULL)`,
  'a member whose account has ended': `
    FROM members m JOIN accounts a ON a.id = m.account_id WHERE m.ended_at IS NULL AND a.ended_at IS NOT NULL`,
  'a claim and its registration disagree on whether it is claimed': `
    FROM claims c JOIN registrations r ON r.id = c.registration_id
    WHERE (c.claimed_at IS NULL) <> (r.claimed_at IS NULL)`,
  'a registration without a claim': `
    FROM registrations r WHERE NOT EXISTS (SELECT 1 FROM claims c WHERE c.registration_id = r.id) AND ${OF_AGENT}`,
  'an agent without a registration that knows it': `
    FROM agents g WHERE NOT EXISTS (SELECT 1 FROM registrations r WHERE r.id = g.registration_id AND r.agent_id = g.id)
      AND NOT ${UNDER_HOST}`,
  'an anonymous registration without an agent': `
    FROM registrations r WHERE r.kind = 'anonymous' AND NOT EXISTS (SELECT 1 FROM agents g WHERE g.id = r.agent_id)`,
  'an agent for a mailbox that was not proven': `
    FROM registrations r WHERE r.kind <> 'anonymous' AND (r.claimed_at IS NULL) <> (r.agent_id IS NULL) AND ${KEPT} AND ${OF_AGENT}`,
  'an agent without a key': `
    FROM agents g JOIN registrations r ON r.id = g.registration_id
    WHERE NOT EXISTS (SELECT 1 FROM credentials c WHERE c.agent_id = g.id)
      AND NOT EXISTS (SELECT 1 FROM session_keys k WHERE k.agent_id = g.id) AND ${BY_KEY}`,
  'a claimed agent without a key that has the claimed scopes, in the account it works in': `
    FROM agents g JOIN registrations r ON r.agent_id = g.id
    WHERE r.claimed_at IS NOT NULL AND ${BY_KEY} AND NOT EXISTS (
      SELECT 1 FROM credentials c WHERE c.agent_id = g.id AND c.account_id = g.account_id AND (c.scope = g.scope OR (g.scope IS NULL AND c.scope LIKE '%read write')))
      AND NOT EXISTS (SELECT 1 FROM events e WHERE e.agent_id = g.id AND e.kind = 'agent.narrowed')`,
  'a lasting key that allows more than its owner left the agent': `
    FROM credentials c JOIN agents g ON g.id = c.agent_id
    WHERE c.revoked_at IS NULL AND c.expires_at IS NULL AND g.scope IS NOT NULL
      AND ((c.scope LIKE '%read%' AND g.scope NOT LIKE '%read%') OR (c.scope LIKE '%write%' AND g.scope NOT LIKE '%write%'))`,
  'an agent with another owner than its account has': `
    FROM agents g JOIN accounts a ON a.id = g.account_id
    WHERE g.owner_since = g.owned_at AND (g.owner_id IS NULL OR g.owner_id <> CASE a.kind WHEN 'human' THEN a.id ELSE a.parent_id END)`,
  "an agent that is owned without a claim, or claimed and nobody's": `
    FROM agents g JOIN registrations r ON r.agent_id = g.id WHERE (g.owned_at IS NULL) <> (r.claimed_at IS NULL)`,
  'an unclaimed agent with a key that may write': `
    FROM credentials c JOIN agents g ON g.id = c.agent_id JOIN registrations r ON r.id = g.registration_id
    WHERE r.claimed_at IS NULL AND c.revoked_at IS NULL AND c.scope <> 'read'`,
  'a merged agent outside of a human account': `
    FROM agents g JOIN registrations r ON r.agent_id = g.id JOIN accounts a ON a.id = g.account_id
    WHERE r.claimed_at IS NOT NULL AND r.mode = 'merge' AND a.kind <> 'human'`,
  'a linked agent whose account has no human parent': `
    FROM agents g JOIN registrations r ON r.agent_id = g.id JOIN accounts a ON a.id = g.account_id
    LEFT JOIN accounts p ON p.id = a.parent_id
    WHERE r.claimed_at IS NOT NULL AND r.mode = 'link' AND (p.id IS NULL OR p.kind <> 'human'
      OR (a.ended_at IS NOT NULL AND (p.ended_at IS NULL OR g.revoked_at IS NULL)))`,
  'an unclaimed agent with an owner': `
    FROM agents g JOIN registrations r ON r.agent_id = g.id JOIN accounts a ON a.id = g.account_id
    WHERE r.claimed_at IS NULL AND (a.kind <> 'agent' OR a.parent_id IS NOT NULL OR a.ended_at IS NOT NULL)`,
  'an ended account that its agent did not move out of': `
    FROM accounts a WHERE a.kind = 'agent' AND NOT EXISTS (SELECT 1 FROM agents g WHERE g.account_id = a.id AND g.revoked_at IS NOT NULL)
      AND NOT EXISTS (SELECT 1 FROM hosts o WHERE o.account_id = a.id)
      AND ((a.ended_at IS NULL) <> (a.merged_into IS NULL) OR (a.ended_at IS NOT NULL AND NOT EXISTS (
      SELECT 1 FROM agents g WHERE g.merged_from = a.id AND g.account_id = a.merged_into)))`,
  'something that lives on in the ended account of a human, or its mailbox': `
    FROM accounts a WHERE a.kind = 'human' AND a.ended_at IS NOT NULL AND (a.mailbox IS NOT NULL
      OR EXISTS (SELECT 1 FROM accounts own WHERE own.parent_id = a.id AND own.ended_at IS NULL)
      OR EXISTS (SELECT 1 FROM agents g WHERE g.account_id = a.id AND g.revoked_at IS NULL)
      OR EXISTS (SELECT 1 FROM hosts o WHERE o.owner_id = a.id AND o.revoked_at IS NULL)
      OR EXISTS (SELECT 1 FROM credentials c WHERE c.account_id = a.id AND c.revoked_at IS NULL)
      OR EXISTS (SELECT 1 FROM sessions s WHERE s.account_id = a.id AND s.ended_at IS NULL)
      OR EXISTS (SELECT 1 FROM authenticators t WHERE t.account_id = a.id)
      OR EXISTS (SELECT 1 FROM recovery_codes r WHERE r.account_id = a.id))`,
  'an agent that moved out of an account that did not end': `
    FROM agents g JOIN accounts a ON a.id = g.merged_from WHERE a.ended_at IS NULL`,
  'an account of nobody': `
    FROM accounts a WHERE NOT EXISTS (SELECT 1 FROM agents g WHERE g.account_id = a.id OR g.merged_from = a.id)
      AND NOT EXISTS (SELECT 1 FROM accounts child WHERE child.parent_id = a.id)
      AND NOT EXISTS (SELECT 1 FROM hosts o WHERE o.account_id = a.id OR o.owner_id = a.id)
      AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.account_id = a.id)
      AND NOT EXISTS (SELECT 1 FROM credentials c WHERE c.account_id = a.id AND c.agent_id IS NULL)
      AND NOT EXISTS (SELECT 1 FROM oauth_grants o WHERE o.account_id = a.id)
      AND NOT EXISTS (SELECT 1 FROM oauth_clients o WHERE o.account_id = a.id)
      AND NOT EXISTS (SELECT 1 FROM members m WHERE m.account_id = a.id)
      AND NOT EXISTS (SELECT 1 FROM events e WHERE e.account_id = a.id AND e.kind IN ('agent.released', 'agent.merge_undone'))`,
  'something that lives on of an agent that was revoked': `
    FROM agents g WHERE g.revoked_at IS NOT NULL AND (
      EXISTS (SELECT 1 FROM credentials c WHERE c.agent_id = g.id AND c.revoked_at IS NULL)
      OR EXISTS (SELECT 1 FROM refresh_tokens t WHERE t.registration_id = g.registration_id AND t.ended_at IS NULL)
      OR EXISTS (SELECT 1 FROM principals p WHERE p.registration_id = g.registration_id))`,
  'a family of refresh tokens with two that can be spent, or with one that lives on where it ended': `
    FROM refresh_tokens t JOIN refresh_tokens o ON o.family = t.family AND o.hash <> t.hash
    WHERE t.ended_at IS NULL AND t.spent_at IS NULL AND (o.spent_at IS NULL OR o.ended_at IS NOT NULL)`,
  'a refresh token or a token that is not of an agent': `
    FROM registrations r WHERE r.agent_id IS NULL AND EXISTS (SELECT 1 FROM refresh_tokens t WHERE t.registration_id = r.id)`,
  'a user of a provider who acts for an account that has ended, or without a registration, an app or a yes that says so': `
    FROM principals p JOIN accounts a ON a.id = p.account_id WHERE a.ended_at IS NOT NULL
      OR NOT EXISTS (SELECT 1 FROM registrations r WHERE r.principal = p.principal AND r.claimed_at IS NOT NULL)
      AND NOT EXISTS (SELECT 1 FROM oauth_grants o WHERE o.principal = p.principal)
      AND NOT EXISTS (SELECT 1 FROM events e WHERE e.account_id = p.account_id AND e.kind = 'principal.linked' AND e.subject LIKE 'lnk_%')`,
  'a request to link a user of a provider who acts for that account already': `
    FROM link_requests l JOIN principals p ON p.principal = l.principal WHERE p.account_id = l.account_id`,
  'a mail without what it is about': `
    FROM outbox o WHERE NOT EXISTS (SELECT 1 FROM claim_attempts t WHERE t.id = o.attempt_id)
      AND NOT EXISTS (SELECT 1 FROM sign_ins s WHERE s.id = o.attempt_id)
      AND NOT EXISTS (SELECT 1 FROM approvals p WHERE p.id = o.attempt_id)
      AND NOT EXISTS (SELECT 1 FROM notices n JOIN events e ON e.id = n.event_id WHERE n.mail_id = o.id
        AND (e.account_id = o.attempt_id OR e.workspace_id IS NOT NULL))
      AND NOT EXISTS (SELECT 1 FROM invitations i WHERE i.id = o.attempt_id)`,
  'two live attempts of one registration': `
    FROM (SELECT registration_id FROM claim_attempts WHERE ended_at IS NULL
          GROUP BY registration_id HAVING COUNT(*) > 1) AS twice`,
  'a live attempt on a claim that is over': `
    FROM claim_attempts t JOIN claims c ON c.registration_id = t.registration_id
    WHERE t.ended_at IS NULL AND (c.claimed_at IS NOT NULL OR c.ended_at IS NOT NULL)`,
  'a registration that the audit does not know': `
    FROM registrations r WHERE 1 <> (
      SELECT COUNT(*) FROM events e WHERE e.kind = 'registration.created' AND e.subject = r.id)`,
  'a completed claim that the audit does not know, or knows twice': `
    FROM registrations r WHERE (CASE WHEN r.claimed_at IS NULL THEN 0 ELSE 1 END) <> (
      SELECT COUNT(*) FROM events e WHERE e.kind = 'claim.completed' AND e.subject = r.id) AND ${KEPT} AND ${OF_AGENT}`,
};

/** The same of hosts, their agents, and what these are allowed (Agent Auth Protocol 1.0-draft, section 8). */
const NEVER_OF_HOSTS: Record<string, string> = {
  'a registration of a host without it, or a host without its registration': `
    FROM registrations r FULL JOIN hosts h ON h.registration_id = r.id
    WHERE (r.kind = 'host' OR r.id IS NULL) AND (h.id IS NULL OR r.id IS NULL OR r.kind <> 'host')`,
  'a host and its registration, or its account, disagree on whose it is': `
    FROM hosts h JOIN registrations r ON r.id = h.registration_id JOIN accounts a ON a.id = h.account_id
    WHERE (h.owner_id IS NULL) <> (r.claimed_at IS NULL) OR (h.owner_id IS NULL) <> (h.linked_at IS NULL)
      OR (h.owner_id IS NULL) <> (a.ended_at IS NULL) OR COALESCE(h.owner_id, '') <> COALESCE(a.merged_into, '')`,
  'a linked host that the audit does not know, or knows twice': `
    FROM hosts h WHERE (CASE WHEN h.owner_id IS NULL THEN 0 ELSE 1 END) <> (
      SELECT COUNT(*) FROM events e WHERE e.kind = 'host.linked' AND e.subject = h.id AND e.account_id = h.owner_id)`,
  'the key of a host that was its or another one’s before': `
    FROM hosts h JOIN retired_host_keys k ON k.thumbprint = h.thumbprint`,
  'an agent that was let in and is none, or one that was not and is': `
    FROM hosted_agents u WHERE (u.activated_at IS NULL) <> NOT EXISTS (SELECT 1 FROM agents g WHERE g.id = u.id)`,
  'an agent that works in another account than its host': `
    FROM hosted_agents u JOIN hosts h ON h.id = u.host_id JOIN agents g ON g.id = u.id
    WHERE g.revoked_at IS NULL AND (g.account_id <> COALESCE(h.owner_id, h.account_id) OR (g.owned_at IS NULL) <> (h.owner_id IS NULL))`,
  'an agent that works alone under a host that somebody owns, or for a human under one that nobody does': `
    FROM hosted_agents u JOIN hosts h ON h.id = u.host_id WHERE u.ended_at IS NULL
      AND ((u.mode = 'autonomous' AND h.owner_id IS NOT NULL)
        OR (u.mode = 'delegated' AND h.owner_id IS NULL AND u.activated_at IS NOT NULL))`,
  'an agent whose end is not known everywhere': `
    FROM hosted_agents u LEFT JOIN agents g ON g.id = u.id WHERE (u.ended_at IS NULL) <> (u.end_reason IS NULL)
      OR (u.ended_at IS NOT NULL AND g.id IS NOT NULL AND g.revoked_at IS NULL)`,
  'something that lives on under a host that was revoked': `
    FROM hosts h WHERE h.revoked_at IS NOT NULL AND EXISTS (
      SELECT 1 FROM hosted_agents u WHERE u.host_id = h.id AND (u.ended_at IS NULL
        OR EXISTS (SELECT 1 FROM approvals p WHERE p.agent_id = u.id AND p.decided_at IS NULL)))`,
  'two questions of one agent that are open': `
    FROM (SELECT agent_id FROM approvals WHERE decided_at IS NULL GROUP BY agent_id HAVING COUNT(*) > 1) AS twice`,
  'a capability that is granted and denied': `
    FROM grants q WHERE q.granted_at IS NOT NULL AND q.denied_at IS NOT NULL`,
  'a capability that was granted to an agent that nobody let in, or that was claimed': `
    FROM grants q JOIN hosted_agents u ON u.id = q.agent_id
    WHERE q.granted_at IS NOT NULL AND (u.activated_at IS NULL OR u.end_reason = 'claimed')`,
  'a capability that may write and that its host’s owner did not grant': `
    FROM grants q JOIN hosted_agents u ON u.id = q.agent_id JOIN hosts h ON h.id = u.host_id
    WHERE q.capability = 'write' AND q.granted_at IS NOT NULL AND COALESCE(q.granted_by, '') <> COALESCE(h.owner_id, '-')`,
  'a token of an agent that may write, and was not allowed to': `
    FROM credentials c JOIN hosted_agents u ON u.id = c.agent_id
    WHERE c.scope LIKE '%write%' AND c.revoked_at IS NULL AND NOT EXISTS (
      SELECT 1 FROM grants q WHERE q.agent_id = u.id AND q.granted_by IS NOT NULL)`,
};

/** What is true as long as nothing was old enough to be swept. */
const NEVER_BEFORE_SWEEPING: Record<string, string> = {
  'an attempt without a mail': `
    FROM claim_attempts t WHERE (t.proof <> 'page' OR t.reveal = 'digits')
      AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.attempt_id = t.id)`,
  // A repeated presentation of an ID-JAG puts a new claim in the place of the old one, which had attempts of its own.
  'codes counted that were not asked for': `
    FROM claims c JOIN registrations r ON r.id = c.registration_id
    WHERE c.codes > (SELECT COUNT(*) FROM claim_attempts t WHERE t.registration_id = c.registration_id)
      OR (r.kind <> 'id_jag' AND
        c.codes < (SELECT COUNT(*) FROM claim_attempts t WHERE t.registration_id = c.registration_id))`,
};

/** The sentences above that are true of this database. */
export async function violations(db: Db, age: 'young' | 'swept' = 'young'): Promise<string[]> {
  const found: string[] = [];
  const always = { ...NEVER, ...NEVER_OF_HOSTS };
  const never = age === 'swept' ? always : { ...always, ...NEVER_BEFORE_SWEEPING };
  for (const [sentence, from] of Object.entries(never)) {
    const row = await db.get<{ n: number }>(`SELECT COUNT(*) AS n ${from}`);
    if (row!.n > 0) found.push(`${sentence} (${row!.n})`);
  }
  return found;
}
