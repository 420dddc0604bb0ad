import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** What /metrics shows. Labels are of small, fixed sets: no id, mailbox or address ever becomes one (S-107). */
export interface Metrics {
  registry: Registry;
  /** Notes one answer by its row of the route table. */
  countRequest(route: string, status: number, seconds: number): void;
  mails: Counter<'outcome'>;
  limitHits: Counter<'limit'>;
  mailsWaiting: Gauge;
}

export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const requests = new Histogram({
    name: 'vouchsafe_http_request_seconds',
    help: 'Requests by row of the route table and status',
    labelNames: ['route', 'status'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 2.5],
    registers,
  });
  // Routes and statuses are few; finding their series anew each time costs more than counting.
  const series = new Map<string, Histogram.Internal<'route' | 'status'>>();
  return {
    registry,
    countRequest(route, status, seconds) {
      const name = `${status} ${route}`;
      let one = series.get(name);
      if (one === undefined) {
        one = requests.labels({ route, status });
        series.set(name, one);
      }
      one.observe(seconds);
    },
    mails: new Counter({
      name: 'vouchsafe_mails_total',
      help: 'Mails handed over, by outcome: accepted, refused, delayed, unreachable, unwanted',
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
