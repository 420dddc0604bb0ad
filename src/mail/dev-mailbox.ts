import type { Message } from '../ports/mailer.ts';

/** A mail that was captured instead of sent. */
export interface CaughtMail extends Message {
  /** Counts the mails from 1; /dev/mailbox/:number shows its HTML. */
  number: number;
  /** ISO 8601. */
  at: string;
}

/** Captures mails on a developer's machine: in memory, newest first, shown at /dev/mailbox. */
export interface DevMailbox {
  add(message: Message): void;
  list(): readonly CaughtMail[];
  /** @returns undefined if it holds no mail of that number */
  find(number: string): CaughtMail | undefined;
}

const MAILS_MAX = 100;

/** Creates a mailbox that holds the newest 100 mails. */
export function createDevMailbox(clock: () => number): DevMailbox {
  const mails: CaughtMail[] = [];
  let count = 0;
  return {
    add(message) {
      count += 1;
      mails.unshift({ ...message, number: count, at: new Date(clock()).toISOString() });
      mails.length = Math.min(mails.length, MAILS_MAX);
    },
    list: () => mails,
    find: (number) => mails.find((mail) => String(mail.number) === number),
  };
}
