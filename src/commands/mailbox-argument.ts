import { InvalidArgumentError } from 'commander';
import { parseMailbox } from '../lib/mailbox.ts';

/** Parses a mailbox that was given to a command. @returns canonical @throws InvalidArgumentError */
export function mailboxArgument(text: string): string {
  const mailbox = parseMailbox(text);
  if (mailbox === undefined) throw new InvalidArgumentError('It takes an address such as ada@example.com.');
  return mailbox;
}
