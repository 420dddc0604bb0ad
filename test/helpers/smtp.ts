import { EventEmitter, once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { type ParsedMail, simpleParser } from 'mailparser';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';

/** A mail that the server took, as it came over the wire. */
export interface ArrivedMail {
  from: string;
  /** The RCPT commands, in order. */
  recipients: string[];
  raw: string;
  parsed: ParsedMail;
  /** The six digits of the text part. */
  code: string;
  secure: boolean;
  user: string | undefined;
}

/**
 * What the server does with a mail: take it; say nothing after the message; refuse the recipient; or cut the connection in the
 * place of the answer, having the message.
 */
export type Behaviour = 'accept' | 'stall' | 'close' | { code: number; text: string };

export interface SmtpSink {
  url: string;
  port: number;
  mails: ArrivedMail[];
  /** RCPT commands so far, by recipient: how often a mail was tried. */
  tries: Map<string, number>;
  /** Sockets that are open now. */
  sockets: Set<Socket>;
  /** Decides about each mail, by its recipient. */
  behave(behaviour: Behaviour | ((recipient: string) => Behaviour)): void;
  /** The mail to a recipient that comes after the first `beyond`; waits for it. */
  mailTo(recipient: string, beyond?: number): Promise<ArrivedMail>;
  /** Waits until `check` holds, looking again whenever a mail comes or a connection opens or closes. */
  until(check: () => boolean): Promise<void>;
  /** Closes the port and all connections; `open` listens on the same port again. */
  close(): Promise<void>;
  open(): Promise<void>;
}

/** A real SMTP server on this machine that behaves as it is told. */
export async function startSmtpSink(options: SMTPServerOptions = {}): Promise<SmtpSink> {
  const mails: ArrivedMail[] = [];
  const tries = new Map<string, number>();
  const sockets = new Set<Socket>();
  const events = new EventEmitter().setMaxListeners(0);
  let decide: (recipient: string) => Behaviour = () => 'accept';
  let server: SMTPServer | undefined;
  let port = 0;

  async function open(): Promise<void> {
    const opened = new SMTPServer({
      authOptional: options.onAuth === undefined,
      disabledCommands: options.onAuth === undefined ? ['AUTH', 'STARTTLS'] : [],
      disableReverseLookup: true,
      logger: false,
      closeTimeout: 1,
      ...options,
      onRcptTo(address, _session, done) {
        tries.set(address.address, (tries.get(address.address) ?? 0) + 1);
        const behaviour = decide(address.address);
        if (typeof behaviour === 'string') return done();
        done(Object.assign(new Error(behaviour.text), { responseCode: behaviour.code }));
      },
      async onData(stream, session, done) {
        const chunks: Buffer[] = [];
        for await (const chunk of stream) chunks.push(chunk);
        const recipients = session.envelope.rcptTo.map(({ address }) => address);
        const behaviour = decide(recipients[0]!);
        if (behaviour === 'stall') return void events.emit('change');
        const raw = Buffer.concat(chunks).toString('utf8');
        const parsed = await simpleParser(raw);
        mails.push({
          from: session.envelope.mailFrom ? session.envelope.mailFrom.address : '',
          recipients,
          raw,
          parsed,
          code: /^ {4}(\d{6})$/m.exec(parsed.text ?? '')?.[1] ?? 'none',
          secure: session.secure,
          user: session.user,
        });
        if (behaviour === 'close') {
          for (const socket of sockets) if (socket.remotePort === session.remotePort) socket.destroy();
        } else {
          done();
        }
        events.emit('change');
      },
    });
    opened.on('error', () => {}); // clients that go away
    opened.server.on('connection', (socket: Socket) => {
      sockets.add(socket);
      events.emit('change');
      socket.once('close', () => {
        sockets.delete(socket);
        events.emit('change');
      });
    });
    const listener = opened.listen(port, '127.0.0.1');
    await once(listener, 'listening');
    port = (listener.address() as AddressInfo).port;
    server = opened;
  }

  async function until(check: () => boolean): Promise<void> {
    while (!check()) await once(events, 'change');
  }

  await open();
  return {
    url: `smtp://127.0.0.1:${port}`,
    port,
    mails,
    tries,
    sockets,
    behave(behaviour) {
      decide = typeof behaviour === 'function' ? behaviour : () => behaviour;
    },
    async mailTo(recipient, beyond = 0) {
      const found = () => mails.filter(({ recipients }) => recipients.includes(recipient));
      await until(() => found().length > beyond);
      return found()[beyond]!;
    },
    until,
    open,
    async close() {
      const closing = server;
      if (closing === undefined) return;
      server = undefined;
      const closed = new Promise<void>((resolve) => closing.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
