import type { Translator } from './translate.ts';
import { displayName, singleLine } from './untrusted-text.ts';

/** What a line of activity says, on pages and in mail. */

/** What the sentence about an event needs. Third parties chose the names. */
export interface ActivityFacts {
  kind: string;
  details: Readonly<Record<string, string | number | boolean>>;
  agentName: string | undefined;
  isOfAgent: boolean;
  keyName: string | undefined;
  keyPrefix: string | undefined;
  appName: string | undefined;
  workspaceName: string | undefined;
  origin: string | undefined;
}

/** A sentence about an event. */
export interface ActivityPhrase {
  /** Its text in the catalogue. */
  key: string;
  /** The names in it, made safe to show. */
  values: { subject: string; name: string; key: string; app: string; workspace: string; kind: string };
  /** The public start of its key, `sk_8Qm2…`. */
  keyPrefix: string | undefined;
  /** Quiet facts below it, the network last. */
  details: string[];
}

/**
 * Chooses the sentence about an event, `activity.KIND` or one of its variants, with its names and details.
 *
 * In a text, `{subject}` is an agent that begins the sentence, `{name}` one within it, `{key}` a key, `{app}` an app,
 * `{workspace}` a shared workspace.
 * About an app without a name it is the sentence without names.
 */
export function phraseActivity({ text, has }: Translator, facts: ActivityFacts): ActivityPhrase {
  const { kind, agentName, keyName, keyPrefix, appName, workspaceName, origin } = facts;
  const variant = VARIANTS[kind]?.(facts);
  const sentence = variant === undefined ? `activity.${kind}` : `activity.${kind}.${variant}`;
  const app = appName === undefined ? '' : displayName(appName);
  const isNameless = app === '' && kind.startsWith('app.') && has(`${sentence}.nameless`);
  const known = isNameless ? `${sentence}.nameless` : sentence;
  const name = agentName === undefined ? '' : displayName(agentName);
  const details = DETAILS[kind]?.(facts, text) ?? [];
  return {
    key: has(known) ? known : 'activity.other',
    values: {
      subject: name || text('activity.unnamedSubject'),
      name: name || text('activity.unnamedObject'),
      key: keyName === undefined ? '' : displayName(keyName),
      app: app || text('apps.unnamed'),
      workspace: workspaceName === undefined ? text('activity.workspaceUnnamed') : displayName(workspaceName),
      kind,
    },
    keyPrefix: keyPrefix === undefined ? undefined : `${keyPrefix}…`,
    details: origin === undefined ? details : [...details, origin],
  };
}

/** Returns the sentence about an event as plain text. */
export function writeActivity(translator: Translator, facts: ActivityFacts): string {
  const { key, values, keyPrefix } = phraseActivity(translator, facts);
  const keyName = values.key || keyPrefix || translator.text('activity.deletedKey');
  return translator.text(key, { ...values, key: keyName });
}

const byOwner = ({ details }: ActivityFacts) => (details.by === 'owner' ? 'byOwner' : undefined);
const byAgent = ({ isOfAgent }: ActivityFacts) => (isOfAgent ? 'byAgent' : undefined);

/** Which of several sentences of one kind fits. */
const VARIANTS: Readonly<Record<string, (facts: ActivityFacts) => string | undefined>> = {
  'agent.revoked': byOwner,
  'host.revoked': byOwner,
  'key.revoked': byOwner,
  'app.revoked': (facts) => (facts.details.by === 'clientRemoved' ? 'byMaker' : byOwner(facts)),
  'principal.linked': ({ isOfAgent }) => (isOfAgent ? undefined : 'ofApps'),
  'app.connected': ({ details }) => (details.issuer === undefined ? undefined : 'byProvider'),
  'client.registered': ({ details }) => (details.origin === 'person' ? 'byOwner' : undefined),
  'client.changed': byOwner,
  'client.rotated': byOwner,
  'client.removed': byOwner,
  'workspace.renamed': byOwner,
  'workspace.deleted': byOwner,
  'place.ended': ({ details, keyPrefix }) =>
    details.actor === undefined ? undefined : keyPrefix === undefined ? 'app' : 'key',
  'key.expiring': ({ workspaceName }) => (workspaceName === undefined ? undefined : 'ofApp'),
  'tree.changed': ({ details }) => (details.keys === undefined ? undefined : 'keysEnded'),
  'member.role_changed': ({ details }) =>
    details.ofOther === true ? 'ofOther' : details.to === 'owner' ? 'toOwner' : undefined,
  'permission.asked': ({ isOfAgent }) => (isOfAgent ? undefined : 'byTerminal'),
  'permission.referred': ({ isOfAgent }) => (isOfAgent ? undefined : 'ofTerminal'),
  'permission.granted': ({ isOfAgent }) => (isOfAgent ? undefined : 'toTerminal'),
  'key.created': byAgent,
  'host.rekeyed': byAgent,
  'agent.connected': ({ details }) => (details.capabilities === undefined ? 'byHost' : undefined),
  'claim.completed': ({ details }) => (details.key === undefined ? 'withoutKey' : undefined),
  'mail.wanted': ({ details }) => (details.wanted === true ? 'on' : 'off'),
};

const listOf = (words: unknown) => (words ? [singleLine(String(words).split(' ').join(', '), 300)] : []);

/** The one thing that an agent asks for, in its own words. */
function actionOf({ details }: ActivityFacts, text: Translator['text']): string[] {
  return details.action === undefined
    ? []
    : [text('connect.quoted', { text: singleLine(String(details.action), 300) })];
}

function reasonOf({ details }: ActivityFacts, text: Translator['text']): string[] {
  return details.reason === undefined
    ? []
    : [text('activity.detail.reason', { reason: String(details.reason) })];
}

/** What is said below a sentence, beside the network. */
const DETAILS: Readonly<
  Record<string, (facts: ActivityFacts, text: Translator['text']) => string[] | undefined>
> = {
  'claim.approved': ({ details }, text) =>
    details.mode === undefined
      ? []
      : [text(`activity.detail.${details.mode === 'merge' ? 'merge' : 'link'}`), ...listOf(details.scope)],
  'session.begun': ({ details }, text) =>
    details.new_network === true ? [text('activity.detail.newNetwork')] : [],
  'key.created': ({ details }) => listOf(details.scope),
  'agent.narrowed': ({ details }) => listOf(details.scope),
  'agent.connected': ({ details }) => listOf(details.capabilities),
  'app.connected': ({ details }) => listOf(details.scope),
  'terminal.connected': ({ details }) => listOf(details.scopes),
  'permission.asked': actionOf,
  'permission.referred': actionOf,
  'permission.granted': actionOf,
  'capability.granted': ({ details }) => listOf(details.capabilities),
  'capability.executed': ({ details }) => listOf(details.capability),
  'capability.refused': ({ details }) => listOf(details.capability),
  'operator.agent_revoked': reasonOf,
  'operator.key_revoked': reasonOf,
  'operator.client_suspended': reasonOf,
  'operator.client_resumed': reasonOf,
  'operator.account_deleted': reasonOf,
  'operator.workspace_deleted': reasonOf,
  'operator.client_removed': reasonOf,
  'operator.client_rotated': reasonOf,
  'operator.keys_revoked': reasonOf,
  'operator.permission_ended': reasonOf,
  'operator.sessions_ended': reasonOf,
  'operator.mail_changed': reasonOf,
  'operator.mail_retried': reasonOf,
  'host.revoked': ({ details }, text) => [
    text('activity.detail.agentsEnded', { count: Number(details.agents) }),
  ],
};
