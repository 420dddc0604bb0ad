/** How lines of activity look: an icon of Lucide, and the color of its circle. */

interface Look {
  icon: string;
  tone: '' | 'ok' | 'alarm';
}

const approved: Look = { icon: 'check', tone: 'ok' };
const declined: Look = { icon: 'circle-x', tone: 'alarm' };
const revoked: Look = { icon: 'ban', tone: 'alarm' };
const warning: Look = { icon: 'triangle-alert', tone: 'alarm' };
const plain = (icon: string): Look => ({ icon, tone: '' });

const LOOKS: Readonly<Record<string, Look>> = {
  'claim.started': plain('mail'),
  'claim.guess_failed': warning,
  'claim.completed': plain('key-round'),
  'claim.approved': approved,
  'claim.confirmed': plain('eye'),
  'claim.denied': declined,
  'account.created': plain('user'),
  'account.deleted': { icon: 'trash-2', tone: 'alarm' },
  'account.locale_changed': plain('languages'),
  'authenticator.added': { icon: 'shield-check', tone: 'ok' },
  'authenticator.removed': { icon: 'shield-off', tone: 'alarm' },
  'recovery_codes.made': plain('shield'),
  'recovery_code.used': plain('shield'),
  'agent.merged': { icon: 'merge', tone: 'ok' },
  'agent.linked': { icon: 'link-2', tone: 'ok' },
  'agent.revoked': revoked,
  'agent.renamed': plain('pencil'),
  'agent.narrowed': plain('pencil'),
  'agent.released': plain('unlink'),
  'agent.merge_undone': plain('undo-2'),
  'host.linked': { icon: 'server', tone: 'ok' },
  'host.revoked': revoked,
  'host.rekeyed': plain('key-round'),
  'agent.asked': plain('mail'),
  'agent.connected': approved,
  'agent.rejected': declined,
  'agent.claimed': plain('merge'),
  'agent.reactivated': plain('bot'),
  'app.connected': approved,
  'app.declined': declined,
  'app.narrowed': plain('key-round'),
  'app.revoked': revoked,
  'client.registered': plain('plus'),
  'client.changed': plain('pencil'),
  'client.rotated': plain('refresh-cw'),
  'client.suspended': revoked,
  'client.resumed': plain('undo-2'),
  'client.removed': revoked,
  'capability.granted': approved,
  'capability.executed': plain('bot'),
  'capability.refused': declined,
  'principal.linked': plain('link-2'),
  'principal.revoked': revoked,
  'token.issued': plain('key-round'),
  'refresh_token.reused': warning,
  'key.created': plain('key-round'),
  'key.retired': plain('key-round'),
  'key.revoked': revoked,
  'key.expiring': plain('clock'),
  'mail.dead': plain('mail'),
  'mail.wanted': plain('mail'),
  'session.begun': plain('log-in'),
  'session.ended': plain('log-out'),
  'session.guess_failed': warning,
  'limit.hit': warning,
  'operator.added': plain('shield'),
  'operator.removed': plain('shield-off'),
  'operator.agent_revoked': revoked,
  'operator.key_revoked': revoked,
  'operator.client_suspended': revoked,
  'operator.client_resumed': plain('undo-2'),
  'operator.client_removed': revoked,
  'operator.client_rotated': plain('refresh-cw'),
  'operator.keys_revoked': revoked,
  'operator.sessions_ended': plain('log-out'),
  'operator.mail_changed': plain('mail'),
  'operator.mail_retried': plain('mail'),
  'resource.added': plain('plus'),
  'resource.rotated': plain('refresh-cw'),
  'resource.removed': revoked,
  'signing_key.made': plain('refresh-cw'),
  'database.restored': warning,
};

/** Returns how a line about an event of a kind looks. */
export function activityLook(kind: string): Look {
  return LOOKS[kind] ?? plain('scroll-text');
}
