/**
 * The requests that somebody makes here, and their log: what was asked for, how long it took, what came of it.
 *
 * @typedef {object} Entry
 * @property {number} id
 * @property {Date} at
 * @property {string} text as one would write it: `sample.test_sum(4, 5)`
 * @property {"running" | "done" | "failed"} state
 * @property {number} ms how long it took, once it has ended
 * @property {string} outcome the value or the error, in one line
 */

import { inline } from "./values.mjs";

export const KEPT = 200; // entries: an hour of a person's clicks, and no burden for the page

/** @type {Entry[]} the newest first */
export const entries = [];

/** @type {Set<(entry: Entry) => void>} called when an entry is new or has ended */
export const listeners = new Set();

let lastId = 0;

/** @param {Entry} entry */
function changed(entry) {
  for (const listener of listeners) {
    listener(entry);
  }
}

/** What an error says, in one line. @param {any} error */
export function errorText(error) {
  return error?.name === "AbortError" ? "cancelled here" : String(error?.message ?? error);
}

/**
 * Makes a request and logs it.
 *
 * @template Value
 * @param {string} text of the log
 * @param {() => Promise<Value>} send
 * @returns {Promise<{value: Value, ms: number}>}
 */
export async function perform(text, send) {
  lastId += 1;
  /** @type {Entry} */
  const entry = { id: lastId, at: new Date(), text, state: "running", ms: 0, outcome: "" };
  entries.unshift(entry);
  entries.length = Math.min(entries.length, KEPT);
  changed(entry);
  const started = performance.now();
  try {
    const value = await send();
    Object.assign(entry, { state: "done", outcome: inline(value, 120) });
    return { value, ms: performance.now() - started };
  } catch (error) {
    Object.assign(entry, { state: "failed", outcome: errorText(error) });
    throw error;
  } finally {
    entry.ms = performance.now() - started;
    changed(entry);
  }
}

/** Forgets what has ended. */
export function clear() {
  entries.splice(0, entries.length, ...entries.filter(({ state }) => state === "running"));
}

/**
 * What is at a path, for its `$get`, `$set` and so on.
 *
 * @param {string[]} names the object's, then those of what is nested in it
 * @param {import("../../../wispyjs/rpc.mjs").Options} [options]
 */
export function at(names, options = {}) {
  /** @type {any} */
  let proxy = rpc.$options(options);
  for (const name of names) {
    proxy = proxy[name];
  }
  return proxy;
}
