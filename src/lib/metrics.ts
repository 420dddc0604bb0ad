import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** The metrics that /metrics exposes. Labels come from small, fixed sets, never from ids, mailboxes or addresses (S-107). */
export interface Metrics {
  registry: Registry;
  /** Records a response under its row of the route table. */
  countRequest(route: string, status: number, seconds: number): void;
  mails: Counter<'outcome'>;
  limitHits: Counter<'limit'>;
  mailsWaiting: Gauge;
}

/** Creates the metrics in a registry of their own. */
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
  // Routes and statuses are few, and a lookup by labels costs more than the observation.
  type Series = Histogram.Internal<'route' | 'status'>;
  const seriesByRoute = new Map<string, Map<number, Series>>();
  function addSeries(route: string, status: number): Series {
    const series = requests.labels({ route, status });
    seriesByRoute.set(route, new Map([...(seriesByRoute.get(route) ?? []), [status, series]]));
    return series;
  }
  return {
    registry,
    countRequest(route, status, seconds) {
      const histogram = seriesByRoute.get(route)?.get(status) ?? addSeries(route, status);
      histogram.observe(seconds);
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
