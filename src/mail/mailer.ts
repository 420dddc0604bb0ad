import { createTransport, type Transporter } from 'nodemailer';
import type { Config } from '../config/load.ts';
import type { Translators } from '../lib/translate.ts';
import { type Delivery, type Mail, type Mailer, type Message, SEND_DEADLINE_MS } from '../ports/mailer.ts';
import type { DevMailbox } from './dev-mailbox.ts';
import { createRender } from './render.ts';

/** A server that does not accept the connection in this time is unreachable. */
const CONNECT_DEADLINE_MS = SEND_DEADLINE_MS / 3;

/**
 * Creates a mailer. It sends by SMTP if `SMTP_URL` is set, otherwise into the development mailbox.
 *
 * @param deadlineMs how long the server may take for one mail
 */
export function createMailer(
  config: Config,
  translators: Translators,
  devMailbox: DevMailbox | undefined,
  deadlineMs = SEND_DEADLINE_MS,
): Mailer {
  const render = createRender(config, translators);
  const smtp =
    config.smtpUrl === undefined ? undefined : createSmtpSender(config, config.smtpUrl, deadlineMs);

  async function send(mail: Mail): Promise<Delivery> {
    const id = messageId(mail.id, config.publicUrl);
    const message = { id, to: mail.to, ...render(mail) };
    if (smtp !== undefined) return smtp.send(message);
    devMailbox?.add(message);
    return { kind: 'accepted' };
  }

  return {
    send,
    check: async () => smtp?.check(),
    close: () => smtp?.close(),
  };
}

function createSmtpSender(config: Config, url: string, deadlineMs: number) {
  const transport = openTransport(url);

  async function send(message: Message): Promise<Delivery> {
    try {
      await transport.sendMail({
        messageId: message.id,
        // The envelope is separate from the header, so that no part of an address is parsed into another recipient (S-42).
        envelope: { from: config.mailFrom, to: message.to },
        from: { name: config.service.name, address: config.mailFrom },
        to: { name: '', address: message.to },
        subject: message.subject,
        text: message.text,
        html: message.html,
        headers: { 'Auto-Submitted': 'auto-generated', 'X-Auto-Response-Suppress': 'All' },
        disableFileAccess: true,
        disableUrlAccess: true,
        signal: AbortSignal.timeout(deadlineMs), // closes only the connection that hangs
      });
      return { kind: 'accepted' };
    } catch (error) {
      return toFailedDelivery(error as SmtpError);
    }
  }

  return {
    send,
    async check(): Promise<Error | undefined> {
      return transport.verify().then(
        () => undefined,
        (error: Error) => error,
      );
    },
    close: () => transport.close(),
  };
}

interface SmtpError extends Error {
  code?: string;
  responseCode?: number;
  syscall?: string;
  timeoutType?: string;
}

function toFailedDelivery({ code, responseCode, syscall, timeoutType, message }: SmtpError): Delivery {
  if (responseCode === undefined) {
    const isUnreachable = syscall === 'connect' || code === 'EDNS' || timeoutType === 'CONNECT_TIMEOUT';
    return { kind: isUnreachable ? 'unreachable' : 'delayed', reason: code ?? message };
  }
  // Only a 5xx reply to this recipient or message is final. The operator can fix a wrong password, or a server that refuses
  // the connection, so the mail waits.
  const isFinal = responseCode >= 500 && (code === 'EENVELOPE' || code === 'EMESSAGE');
  return { kind: isFinal ? 'refused' : 'delayed', reason: `SMTP ${responseCode}` };
}

function openTransport(url: string): Transporter {
  const parsed = new URL(url);
  const transport = createTransport({
    host: parsed.hostname.replace(/^\[|\]$/g, ''),
    port: parsed.port === '' ? undefined : Number(parsed.port),
    secure: parsed.protocol === 'smtps:',
    ...(parsed.username === ''
      ? {}
      : {
          auth: { user: decodeURIComponent(parsed.username), pass: decodeURIComponent(parsed.password) },
        }),
    // `?requireTLS=true`, `?ignoreTLS=true` and `?tls.rejectUnauthorized=false`, as in nodemailer's own URLs.
    requireTLS: parsed.searchParams.get('requireTLS') === 'true',
    ignoreTLS: parsed.searchParams.get('ignoreTLS') === 'true',
    tls: { rejectUnauthorized: parsed.searchParams.get('tls.rejectUnauthorized') !== 'false' },
    pool: true,
    maxConnections: 4,
    maxMessages: 100,
    maxRequeues: 0, // the outbox retries: it counts attempts, and knows whether the mail is still needed
    connectionTimeout: CONNECT_DEADLINE_MS,
    greetingTimeout: SEND_DEADLINE_MS,
    socketTimeout: SEND_DEADLINE_MS,
    dnsTimeout: SEND_DEADLINE_MS,
  });
  transport.on('error', () => {});
  return transport;
}

/** Returns the Message-ID of a mail. It is the same for every attempt, so that duplicates are recognized. */
function messageId(mailId: string, publicUrl: string): string {
  return `<${mailId}@${new URL(publicUrl).hostname}>`;
}
