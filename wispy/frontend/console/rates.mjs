/**
 * What `rpc.status` says, and what two of its answers say together: how many calls and updates there were each second.
 *
 * @typedef {{[name: string]: number}} Counts
 * @typedef {{id: string, host: string, pid: number, generation?: number, since_ms: number}} Owner
 * @typedef {{name: string, owner: Owner | null, queue?: {length: number, oldest_ms: number | null}, workers?: number,
 *   counts?: Counts, busy_ms?: number, running?: number}} ObjectStatus
 * @typedef {{id: string, host: string, pid: number, since_ms: number, connections: number, sessions: number,
 *   counts?: Counts}} FrontendStatus
 * @typedef {{id: string, frontend: string, since_ms: number, address?: string, user?: string | null,
 *   in_flight: number, subscriptions: number}} SessionStatus
 * @typedef {{time: string, reason: string, user: string | null, address: string, operation: string, object: string,
 *   path: string, detail: string}} Denial
 * @typedef {{objects: ObjectStatus[], frontends?: FrontendStatus[], sessions?: SessionStatus[], sessions_total?: number,
 *   denials?: Denial[], clock_ms: number}} Status
 *
 * @typedef {{requests: number, updates: number, busy: number}} Rates each second; busy as a part of it
 */

const REQUESTS = ["calls", "gets", "sets", "deletes"];

/** @param {Counts | undefined} counts */
export const requestsOf = (counts) => REQUESTS.reduce((sum, name) => sum + (counts?.[name] ?? 0), 0);

/**
 * The rates of each object between two answers; of one that another process owns now, none.
 *
 * @param {Status | null} before
 * @param {Status} now
 * @returns {Map<string, Rates>}
 */
export function ratesOf(before, now) {
  const seconds = before ? (now.clock_ms - before.clock_ms) / 1000 : 0;
  const former = new Map(before?.objects.map((each) => [each.name, each]));
  /** @type {Map<string, Rates>} */
  const rates = new Map();
  for (const each of now.objects) {
    const old = former.get(each.name);
    // A worker that joins or goes takes its counts along.
    const isSame = old?.owner?.generation === each.owner?.generation && old?.workers === each.workers;
    if (old && seconds > 0 && isSame) {
      const perSecond = (/** @type {number} */ late, /** @type {number} */ early) => Math.max(0, late - early) / seconds;
      rates.set(each.name, {
        requests: perSecond(requestsOf(each.counts), requestsOf(old.counts)),
        updates: perSecond(each.counts?.updates ?? 0, old.counts?.updates ?? 0),
        busy: perSecond(each.busy_ms ?? 0, old.busy_ms ?? 0) / 1000,
      });
    }
  }
  return rates;
}

/** @param {number} rate */
export function rateText(rate) {
  return rate >= 10 || rate === 0 ? String(Math.round(rate)) : rate.toFixed(1);
}
