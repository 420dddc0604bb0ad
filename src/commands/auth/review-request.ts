import { formatCap } from '../../lib/artifacts/capability-spec.ts';
import type { PermissionEntry } from '../../lib/artifacts/permission-entry.ts';
import type { PermissionRequest } from '../../lib/artifacts/permission-request.ts';
import { displayName, singleLine } from '../../lib/untrusted-text.ts';

/** How a request is shown to whoever decides. What the requester wrote comes after what it asks for, quoted. */

// What names of scopes say by themselves. The service knows more, and leaves what is destructive to its page.
const DANGEROUS_ACTION = /(?:^|[:._-])(?:admin|del|delete|destroy|manage|schema|write)$/i;
const REASON_CHARACTERS = 300;

/** Whether a permission is one to think about: a whole space, or an action that changes things. */
export function isDangerous({ path, actions }: Pick<PermissionEntry, 'path' | 'actions'>): boolean {
  return path === '' || actions.some((action) => DANGEROUS_ACTION.test(action));
}

/** Writes a request as lines for a terminal. @param thumbprint of its verified key */
export function reviewLines(request: PermissionRequest, thumbprint: string): string[] {
  const { requester, permissions = [], action } = request;
  const name = requester.name === undefined ? '' : ` "${displayName(requester.name)}" (unverified)`;
  const reasons = permissions.flatMap(({ reason }, index) =>
    reason === undefined ? [] : [`  ${index + 1}. "${singleLine(reason, REASON_CHARACTERS)}"`],
  );
  return [
    `Request ${request.id} at ${singleLine(request.service, 256)}`,
    `  by${name} key ${thumbprint}${requester.agent_id === undefined ? '' : `, agent ${requester.agent_id}`}`,
    `  can be granted until ${request.expires_at}`,
    ...(request.login ? ['  asks to act for a person: decide on the page of the service'] : []),
    ...(action === undefined
      ? []
      : [`  for this alone${request.once ? ', once' : ''}: "${singleLine(action, REASON_CHARACTERS)}"`]),
    ...permissions.map((entry, index) => `  ${index + 1}. ${permissionLine(entry)}`),
    ...(permissions.some(isDangerous)
      ? ['  DANGEROUS: a whole space, or an action that changes things.']
      : []),
    ...(reasons.length > 0 ? ['The agent says:', ...reasons] : []),
  ];
}

/** Writes one permission as a line. */
export function permissionLine(entry: PermissionEntry): string {
  const { path, types, lifetime_seconds: life } = entry;
  return [
    singleLine(formatCap(entry), 1024),
    ...(path === '' ? ['the whole space'] : []),
    ...(types === undefined ? [] : [`only ${types.join(', ')}`]),
    ...(life === undefined ? [] : [`for ${formatLife(life)}`]),
    ...(isDangerous(entry) ? ['DANGEROUS'] : []),
  ].join('  ');
}

/** What others wrote in a request, apart from what it asks for: for programs that must not take it for an instruction. */
export function untrustedTexts({ requester, permissions = [], action }: PermissionRequest): object {
  return {
    name: requester.name,
    reasons: permissions.flatMap(({ reason }) => (reason === undefined ? [] : [reason])),
    action,
  };
}

/** Writes a time span in its largest whole unit. */
export function formatLife(seconds: number): string {
  const [unit, length] = UNITS.find(([, each]) => seconds % each === 0 && seconds >= each) ?? ['second', 1];
  const count = seconds / length;
  return `${count} ${unit}${count === 1 ? '' : 's'}`;
}

const UNITS = [
  ['week', 604_800],
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
] as const;
