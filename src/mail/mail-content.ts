import { translateDefault } from '../config/default-texts.ts';
import { type ActivityPhrase, phraseActivity } from '../lib/format-activity.ts';
import { formatDateTime } from '../lib/format-time.ts';
import { PAGES } from '../lib/page-paths.ts';
import type { Translator } from '../lib/translate.ts';
import { displayName } from '../lib/untrusted-text.ts';
import type {
  ApprovalMail,
  ClaimCodeMail,
  InvitationMail,
  Mail,
  NoticeMail,
  SignInLinkMail,
  SignInMail,
} from '../ports/mailer.ts';
import { formatExpiry, formatNamelessEvent } from './mail-helpers.ts';

/** A text of the catalogue, with its values; links stand in it as `[label](name)`. */
type Sentence = readonly [key: string, values?: Readonly<Record<string, string>>];

interface Fact {
  label: string;
  value: string;
  remark?: string | undefined;
}

/** What a mail says, in the order in which both layouts show it. Names of third parties are safe to show. */
export interface MailContent {
  /** The end of the subject, without names, codes and links. */
  subject: string;
  title: string;
  lead: Sentence;
  code?: string;
  expires?: string;
  button?: { label: string; url: string };
  facts?: { title: string; rows: Fact[] };
  note?: { start?: string; sentences: Sentence[] };
  /** What the agent may do once it is claimed. */
  scopes?: { name: string; description: string }[];
  /** The agent's own words about its request. */
  quote?: string | undefined;
  /** What happened, of a notice. */
  events?: { phrase: ActivityPhrase; when: string; pageUrl: string | undefined }[];
}

/** Decides what a mail says. @param publicUrl where our pages are */
export function describeMail(mail: Mail, translator: Translator, publicUrl: string): MailContent {
  switch (mail.kind) {
    case 'claim-code':
      return describeClaim(mail, translator);
    case 'agent-approval':
      return describeApproval(mail, translator);
    case 'sign-in-code':
    case 'sign-in-link':
      return describeSignIn(mail, translator);
    case 'invitation':
      return describeInvitation(mail, translator);
    case 'notice':
      return describeNotice(mail, translator, publicUrl);
  }
}

function describeClaim(mail: ClaimCodeMail, translator: Translator): MailContent {
  const { text } = translator;
  const { proof, codeExpiresAt, sentAt, denyUrl } = mail;
  const url =
    proof.kind === 'code' ? mail.claimUrl : proof.kind === 'page' ? proof.pageUrl : proof.approveUrl;
  return {
    subject: text('mail.subject.claim-code'),
    title: text('mail.claim.title'),
    lead: [`mail.claim.lead.${proof.kind}`],
    ...(proof.kind === 'code' && { code: proof.code }),
    expires: formatExpiry(translator, codeExpiresAt, sentAt),
    button: { label: text('mail.reviewAndApprove'), url },
    facts: { title: text('mail.requestedBy'), rows: requesterFacts(mail, translator) },
    scopes: mail.scopes.map(({ name, description }) => ({
      name,
      description: translateDefault(translator, description),
    })),
    note: {
      start: text('mail.notExpected'),
      sentences: [
        ['mail.decline', { url: denyUrl }],
        [`mail.nobodyAsks.${proof.kind === 'code' ? 'code' : 'link'}`],
      ],
    },
  };
}

function describeApproval(mail: ApprovalMail, translator: Translator): MailContent {
  const { text } = translator;
  const { codeExpiresAt, sentAt, pageUrl, denyUrl, askedAgain, bindingMessage } = mail;
  const before = { label: text('mail.approval.before'), value: text('mail.approval.declinedBefore') };
  const rows = [...requesterFacts(mail, translator), ...(askedAgain ? [before] : [])];
  return {
    subject: text('mail.subject.agent-approval'),
    title: text('mail.approval.title'),
    lead: ['mail.approval.lead'],
    expires: formatExpiry(translator, codeExpiresAt, sentAt),
    button: { label: text('mail.reviewAndApprove'), url: pageUrl },
    facts: { title: text('mail.requestedBy'), rows },
    note: {
      start: text('mail.notExpected'),
      sentences: [['mail.decline', { url: denyUrl }], ['mail.approval.neverBecauseAsked']],
    },
    quote: (bindingMessage && displayName(bindingMessage)) || undefined,
  };
}

function describeInvitation(mail: InvitationMail, translator: Translator): MailContent {
  const { text } = translator;
  const { workspaceName, invitedBy, role, pageUrl, declineUrl, expiresAt, sentAt } = mail;
  const inviter = invitedBy !== undefined && [{ label: text('mail.invitation.invitedBy'), value: invitedBy }];
  return {
    subject: text('mail.subject.invitation'),
    title: text('mail.invitation.title'),
    lead: ['mail.invitation.lead'],
    expires: formatExpiry(translator, expiresAt, sentAt),
    button: { label: text('mail.invitation.view'), url: pageUrl },
    facts: {
      title: text('mail.invitation.facts'),
      rows: [
        {
          label: text('mail.invitation.workspace'),
          value: text('mail.invitation.name', { name: displayName(workspaceName) }),
          remark: text('mail.invitation.nameNotVerified'),
        },
        ...(inviter || []),
        { label: text('mail.invitation.role'), value: text(`workspace.role.${role}`) },
        { label: text('mail.requested'), value: formatDateTime(translator, mail.invitedAt) },
      ],
    },
    note: {
      start: text('mail.notExpected'),
      sentences: [['mail.invitation.decline', { url: declineUrl }], ['mail.invitation.neverBecauseAsked']],
    },
  };
}

function describeSignIn(mail: SignInMail | SignInLinkMail, translator: Translator): MailContent {
  const { text } = translator;
  const { codeExpiresAt, sentAt } = mail;
  const [name, proof] = mail.kind === 'sign-in-code' ? ['signInCode', 'code'] : ['signInLink', 'link'];
  return {
    subject: text(`mail.subject.${mail.kind}`),
    title: text(`mail.${name}.title`),
    lead: [`mail.${name}.lead`],
    ...(mail.kind === 'sign-in-code' && { code: mail.code }),
    expires: formatExpiry(translator, codeExpiresAt, sentAt),
    ...(mail.kind === 'sign-in-link' && { button: { label: text('mail.signIn'), url: mail.linkUrl } }),
    facts: { title: text('mail.request'), rows: requestFacts(mail, translator) },
    note: {
      start: text('mail.notExpected'),
      sentences: [[`mail.signIn.notExpected.${proof}`], [`mail.nobodyAsks.${proof}`]],
    },
  };
}

function describeNotice(mail: NoticeMail, translator: Translator, publicUrl: string): MailContent {
  const { text } = translator;
  const count = mail.happened.length + mail.more;
  const events = mail.happened.map(({ at, origin: network, pageUrl, ...entry }) => {
    const date = formatDateTime(translator, at);
    return {
      // The network stands beside the time.
      phrase: phraseActivity(translator, { ...entry, origin: undefined }),
      when: network === undefined ? date : text('mail.notice.when', { date, network }),
      pageUrl: count === 1 ? undefined : pageUrl,
    };
  });
  const decision = count === 1 ? mail.happened[0]?.pageUrl : undefined;
  const isAsked = mail.happened.some(({ kind }) => kind === 'app.asked');
  const [only] = events;
  const title =
    only !== undefined && count === 1
      ? formatNamelessEvent(translator, only.phrase)
      : text('mail.notice.several', { count });
  const hasNames = mail.happened.some(
    ({ agentName, keyName, appName, workspaceName }) =>
      (keyName ?? appName ?? workspaceName ?? agentName) !== undefined,
  );
  const hasWords = mail.happened.some(({ details }) => details.action !== undefined);
  const sentences: Sentence[] = [
    ...(hasNames ? ([['mail.notice.names']] as const) : []),
    ...(hasWords ? ([['mail.notice.words']] as const) : []),
  ];
  return {
    subject: title,
    title,
    ...noticeActs(mail, translator, { publicUrl, isAsked, decision }),
    events,
    ...(sentences.length > 0 && { note: { sentences } }),
  };
}

/** What the reader of a notice can do about it. */
function noticeActs(
  { happened, more }: NoticeMail,
  { text }: Translator,
  { publicUrl, isAsked, decision }: { publicUrl: string; isAsked: boolean; decision: string | undefined },
): Pick<MailContent, 'lead' | 'button'> {
  if (decision !== undefined) {
    const button = { label: text('mail.notice.reviewAsked'), url: decision };
    return { lead: ['mail.notice.leadDecide'], button };
  }
  if (isAsked) {
    const button = { label: text('mail.notice.reviewAsked'), url: publicUrl + PAGES.apps };
    return { lead: ['mail.notice.leadAsked'], button };
  }
  const button = { label: text('mail.notice.review'), url: publicUrl + PAGES.account };
  return { lead: [happened.length + more === 1 ? 'mail.notice.lead' : 'mail.notice.leadSeveral'], button };
}

/** Who asks: the agent as it names itself, and its request. */
function requesterFacts(mail: ClaimCodeMail | ApprovalMail, translator: Translator): Fact[] {
  const { text } = translator;
  const name = displayName(mail.agentName ?? '');
  const { firstSeenAt } = mail;
  const firstSeen = firstSeenAt !== undefined && [
    { label: text('mail.firstSeen'), value: formatDateTime(translator, firstSeenAt) },
  ];
  return [
    name === ''
      ? { label: text('mail.name'), value: text('common.unnamedAgent') }
      : { label: text('mail.name'), value: name, remark: text('mail.nameNotVerified') },
    ...(firstSeen || []),
    ...requestFacts(mail, translator),
  ];
}

function requestFacts(mail: { askedAt: number; origin: string }, translator: Translator): Fact[] {
  const { text } = translator;
  return [
    { label: text('mail.requested'), value: formatDateTime(translator, mail.askedAt) },
    { label: text('mail.network'), value: mail.origin },
  ];
}
