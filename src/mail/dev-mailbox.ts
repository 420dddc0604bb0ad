import type { Message } from '../ports/mailer.ts';

/** A mail that was captured instead of sent. */
export interface CaughtMail extends Message {
  /** ISO 8601. */
  at: string;
}

/** Captures mails on a developer's machine: in memory, newest first, shown at /dev/mailbox. */
export interface DevMailbox {
  add(message: Message): void;
  list(): readonly CaughtMail[];
}

const MAILS_MAX = 100;

/** Creates a mailbox that holds the newest 100 mails. */
export function createDevMailbox(clock: () => number): DevMailbox {
  const mails: CaughtMail[] = [];
  return {
    add(message) {
      mails.unshift({ ...message, at: new Date(clock()).toISOString() });
      mails.length = Math.min(mails.length, MAILS_MAX);
    },
    list: () => mails,
  };
}
