import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** What /metrics shows. Labels are of small, fixed sets: no id, mailbox or address ever becomes one (S-107). */
export interface Metrics {
  registry: Registry;
  requests: Histogram<'route' | 'status'>;
  mails: Counter<'outcome'>;
  limitHits: Counter<'limit'>;
  mailsWaiting: Gauge;
}

export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  return {
    registry,
    requests: new Histogram({
      name: 'vouchsafe_http_request_seconds',
      help: 'Requests by row of the route table and status',
      labelNames: ['route', 'status'],
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 2.5],
      registers,
    }),
    mails: new Counter({
      name: 'vouchsafe_mails_total',
      help: 'Mails handed over, by outcome: accepted, refused, delayed, unreachable',
      labelNames: ['outcome'],
      registers,
    }),
    limitHits: new Counter({
      name: 'vouchsafe_limit_hits_total',
      help: 'Requests refused because a budget was spent',
      labelNames: ['limit'],
      registers,
    }),
    mailsWaiting: new Gauge({
      name: 'vouchsafe_mails_waiting',
      help: 'Mails not yet handed over',
      registers,
    }),
  };
}
