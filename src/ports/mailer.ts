import type { Locale } from '../lib/translate.ts';
import type { Role } from '../store/members.ts';
import type { ClaimMode } from '../store/registrations.ts';

/** The interface between the domain and the sender of mail. */

/** The outcome of sending a mail. */
export type Delivery =
  | { kind: 'accepted' }
  /** The server rejected the mail permanently (5xx). */
  | { kind: 'refused'; reason: string }
  /** A temporary failure (4xx, or no response). */
  | { kind: 'delayed'; reason: string }
  /** The server cannot be reached; it received no mail. */
  | { kind: 'unreachable'; reason: string };

/**
 * What a claim mail carries as proof that it was read: six digits; a link that approves the claim, where the limits of
 * wrong guesses are exhausted; or a link to the page that shows the code.
 */
export type MailedProof =
  | { kind: 'code'; code: string }
  | { kind: 'link'; approveUrl: string }
  | { kind: 'page'; pageUrl: string };

/** How long sending one mail may take. The lease of an outbox worker is longer. */
export const SEND_DEADLINE_MS = 15_000;

/** One line of an account's activity. Third parties chose the names in it. */
export interface ActivityEntry {
  /** The kind of the event in the audit log, such as `claim.approved`. */
  kind: string;
  /** Further facts of the event, by kind: `mode`, `scope`, `by`… */
  details: Readonly<Record<string, string | number | boolean>>;
  /** Epoch ms. */
  at: number;
  agentName: string | undefined;
  /** Whether it is about an agent, with or without a name. */
  isOfAgent: boolean;
  keyName: string | undefined;
  /** The public start of the key, `sk_8Qm2`. */
  keyPrefix: string | undefined;
  /** The name of the OAuth client. */
  appName: string | undefined;
  workspaceName: string | undefined;
  /** The coarse network of the request; undefined where the service acted by itself. */
  origin: string | undefined;
}

/** What a notice says of an event. */
export interface NoticeEntry extends ActivityEntry {
  /** The page on which the reader decides about it; undefined: there is nothing to decide. */
  pageUrl?: string | undefined;
}

/** A mail to send. Its kind names its templates, `templates/mail/KIND.txt.eta` and `.html.eta`. */
export type Mail = ClaimCodeMail | SignInMail | SignInLinkMail | NoticeMail | ApprovalMail | InvitationMail;

/** To whom a mail goes. */
interface Addressed {
  id: string;
  /** Canonical mailbox. */
  to: string;
  /** The language of its texts. */
  locale: Locale;
}

/** The mail that asks a human to claim an agent. Only `agentName` is unverified text of the agent. */
export interface ClaimCodeMail extends Addressed {
  kind: 'claim-code';
  proof: MailedProof;
  /** The page on which the human reviews the claim. */
  claimUrl: string;
  /** The page on which the human denies the claim. */
  denyUrl: string;
  /** As the agent wrote it. */
  agentName: string | undefined;
  /** When the agent registered, epoch ms. */
  firstSeenAt: number | undefined;
  mode: ClaimMode;
  /** The scopes of a claimed agent. */
  scopes: { name: string; description: string }[];
  /** The coarse network of the request. */
  origin: string;
  /** Epoch ms, all. */
  askedAt: number;
  codeExpiresAt: number;
  /** When the mail leaves. */
  sentAt: number;
}

/** The mail with a code to sign in. It contains no unverified text. */
export interface SignInMail extends Addressed {
  kind: 'sign-in-code';
  code: string;
  /** The coarse network of the request. */
  origin: string;
  /** Epoch ms, all. */
  askedAt: number;
  codeExpiresAt: number;
  /** When the mail leaves. */
  sentAt: number;
}

/** The mail to sign in with a link that works once, in place of the code. */
export interface SignInLinkMail extends Omit<SignInMail, 'kind' | 'code'> {
  kind: 'sign-in-link';
  linkUrl: string;
}

/** The mail that notifies the owner of an account of its activity. */
export interface NoticeMail extends Addressed {
  kind: 'notice';
  /** Oldest first. */
  happened: NoticeEntry[];
  /** How many further entries the mail leaves out. */
  more: number;
}

/** The mail that asks a human to approve an agent under a host. `agentName` and `bindingMessage` are unverified. */
export interface ApprovalMail extends Addressed {
  kind: 'agent-approval';
  agentName: string;
  /** When the agent registered, epoch ms. */
  firstSeenAt: number;
  /** The page on which the human, signed in with this mailbox, reviews the connection request. */
  pageUrl: string;
  /** The page on which the human denies it, after a confirmation. */
  denyUrl: string;
  bindingMessage: string | undefined;
  /** Whether the human refused one of the requested capabilities before. */
  askedAgain: boolean;
  /** The coarse network of the request. */
  origin: string;
  /** Epoch ms, all. */
  askedAt: number;
  codeExpiresAt: number;
  /** When the mail leaves. */
  sentAt: number;
}

/** The mail that invites a mailbox to a workspace. `workspaceName` is unverified: its members chose it. */
export interface InvitationMail extends Addressed {
  kind: 'invitation';
  workspaceName: string;
  /** The mailbox of the inviter, masked; undefined: the account has ended. */
  invitedBy: string | undefined;
  role: Role;
  /** The page on which the human, signed in with this mailbox, joins or declines. */
  pageUrl: string;
  /** The page on which the reader declines, after a confirmation. */
  declineUrl: string;
  /** Epoch ms, all. */
  invitedAt: number;
  expiresAt: number;
  /** When the mail leaves. */
  sentAt: number;
}

/** Sends mail. */
export interface Mailer {
  /** Sends a mail. It throws no error of the server; the outcome says what happened. */
  send(mail: Mail): Promise<Delivery>;
  /** Connects to the mail server and authenticates. Returns the error; undefined: success, or no server configured. */
  check(): Promise<Error | undefined>;
  /** Closes the connections to the mail server. */
  close(): void;
}

/** A mail with its templates filled. */
export interface Message {
  /** The Message-ID. */
  id: string;
  to: string;
  subject: string;
  text: string;
  html: string;
}
