/** The page of the whole deployment: objects and their owners, frontends, sessions, and what was denied of late. */

import { become, fill, h } from "./dom.mjs";
import { rateText, requestsOf } from "./rates.mjs";
import { duration } from "./values.mjs";

/**
 * @typedef {import("./rates.mjs").Status} Status
 * @typedef {import("./rates.mjs").Rates} Rates
 */

/** A page that `show` fills again with each answer. */
export class Overview {
  element = h("div", { class: "overview" }, page("…"));

  /** @param {string} reason there is no status to show */
  refuse(reason) {
    fill(this.element, page(reason));
  }

  /** @param {Status} status @param {Map<string, Rates>} rates */
  show(status, rates) {
    const sum = (/** @type {keyof Rates} */ name) => [...rates.values()].reduce((total, each) => total + each[name], 0);
    const { objects, frontends = [], sessions = [], sessions_total: total = sessions.length } = status;
    const tiles = h(
      "dl",
      { class: "tiles" },
      tile("Objects", String(objects.length)),
      tile("Sessions", String(total)),
      tile("Frontends", String(frontends.length)),
      tile("Requests/s", rateText(sum("requests"))),
      tile("Updates/s", rateText(sum("updates"))),
    );
    const fresh = page(tiles, objectsTable(status, rates), frontendsTable(status), sessionsTable(status), ...denialsTable(status));
    become(/** @type {ChildNode} */ (this.element.firstChild), fresh);
  }
}

/** @param {(HTMLElement | string)[]} content */
function page(...content) {
  const parts = content.map((each) => (typeof each === "string" ? h("p", { class: "empty" }, each) : each));
  return h("div", {}, h("h1", {}, "Overview"), ...parts);
}

/** @param {string} name @param {string} value */
const tile = (name, value) => h("div", { class: "card tile" }, h("dt", {}, name), h("dd", {}, value));

/** @param {string | null | undefined} host @param {number | undefined} pid */
const process = (host, pid) => `${host ?? "?"} · ${pid ?? "?"}`;

/** Start of a time, from a clock that is read elsewhere. @param {number} now @param {number | null | undefined} since */
function ago(now, since) {
  if (since === null || since === undefined) {
    return "";
  }
  return duration(Math.max(0, now - since));
}

/** How many requests wait, and how long the first has. @param {import("./rates.mjs").ObjectStatus["queue"]} queue */
function queueText(queue) {
  return queue?.oldest_ms ? `${queue.length} (${duration(queue.oldest_ms)})` : String(queue?.length ?? "");
}

/**
 * What is to be known of an object at once: who owns it, and what waits for it.
 *
 * @param {import("./rates.mjs").ObjectStatus | undefined} status
 * @param {number} now on the server's clock
 */
export function factsOf(status, now) {
  if (!status) {
    return "";
  }
  const { owner, workers, queue, counts } = status;
  const by = workers ? `shared by ${workersText(workers)}` : owner && `owned by ${process(owner.host, owner.pid)}`;
  const owned = owner ? `${by} for ${ago(now, owner.since_ms)}` : "no owner at present";
  const requests = counts ? ` · ${requestsOf(counts)} requests, ${counts.errors ?? 0} of them failed` : "";
  return `${owned} · ${queueText(queue) || "0"} waiting${requests}`;
}

/** @param {number} workers */
const workersText = (workers) => `${workers} worker${workers > 1 ? "s" : ""}`;

/** @param {Status} status @param {Map<string, Rates>} rates */
function objectsTable({ objects, clock_ms: now }, rates) {
  const rows = objects.map(({ name, owner, workers, queue, counts, running }) => {
    const rate = rates.get(name);
    return [
      h("a", { href: `#/${encodeURIComponent(name)}` }, name),
      owner ? (workers ? workersText(workers) : process(owner.host, owner.pid)) : h("span", { class: "failed" }, "no owner"),
      owner ? ago(now, owner.since_ms) : "",
      queueText(queue),
      String(running ?? ""),
      String(requestsOf(counts)),
      rate ? rateText(rate.requests) : "",
      rate ? rateText(rate.updates) : "",
      rate ? `${Math.round(rate.busy * 100)} %` : "",
      String((counts?.errors ?? 0) + (counts?.refused ?? 0)),
      String(counts?.denied ?? ""),
    ];
  });
  const heads = ["Object", "Owner", "Since", "Queue", "Running", "Requests", "Requests/s", "Updates/s", "Busy", "Errors", "Denied"];
  return table("Objects", heads, rows);
}

/** @param {Status} status */
function frontendsTable({ frontends = [], clock_ms: now }) {
  const rows = frontends.map(({ host, pid, since_ms: since, connections, sessions, counts }) => [
    process(host, pid),
    ago(now, since),
    String(connections),
    String(sessions),
    String(counts?.requests ?? ""),
    String(counts?.deliveries ?? ""),
    String(counts?.denied ?? ""),
  ]);
  return table("Frontends", ["Frontend", "Since", "Connections", "Sessions", "Requests", "Deliveries", "Denied"], rows);
}

/** @param {Status} status */
function sessionsTable({ sessions = [], sessions_total: total = sessions.length, clock_ms: now }) {
  const rows = sessions.map(({ id, address, user, since_ms: since, in_flight: inFlight, subscriptions }) => [
    h("code", {}, id.slice(0, 10)),
    address ?? "",
    user ?? "",
    ago(now, since),
    String(inFlight),
    String(subscriptions),
  ]);
  const more = total > rows.length ? `Sessions (${rows.length} of ${total})` : "Sessions";
  return table(more, ["Session", "Address", "User", "Since", "In flight", "Subscriptions"], rows);
}

/** The newest denials, if there are some. @param {Status} status */
function denialsTable({ denials = [] }) {
  const rows = denials.map(({ time, reason, user, address, operation, object, path, detail }) => [
    new Date(time).toLocaleTimeString(),
    reason,
    user ?? "",
    address,
    operation,
    h("code", {}, [object, path].filter(Boolean).join(".")),
    detail,
  ]);
  const heads = ["Time", "Reason", "User", "Address", "Operation", "What", "Detail"];
  return rows.length === 0 ? [] : [table("Denied of late", heads, rows)];
}

/**
 * On a narrow screen its rows are shown as lists, each cell with its head. The roles are named, since what is not
 * displayed as a table is none to some browsers.
 *
 * @param {string} title @param {string[]} heads @param {import("./dom.mjs").Child[][]} rows
 */
function table(title, heads, rows) {
  const body = rows.map(([first, ...others]) =>
    h(
      "tr",
      { role: "row" },
      h("th", { scope: "row", role: "rowheader" }, first),
      ...others.map((cell, index) => h("td", { role: "cell", "data-head": heads[index + 1] }, cell)),
    ),
  );
  const columns = heads.map((each) => h("th", { scope: "col", role: "columnheader" }, each));
  const head = h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, ...columns));
  return h(
    "section",
    {},
    h("h2", {}, title),
    rows.length === 0
      ? h("p", { class: "empty" }, "none")
      : h(
          "div",
          { class: "card scroll", tabindex: "0", role: "region", "aria-label": title },
          h("table", { role: "table" }, head, h("tbody", { role: "rowgroup" }, ...body)),
        ),
  );
}
