/** Plots, rates, and what two answers of rpc.status say together. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { pieces } from "../../../wispy/frontend/console/python.mjs";
import { ratesOf, rateText } from "../../../wispy/frontend/console/rates.mjs";
import { Rate, SLOT_MS, SLOTS, Series, drawable } from "../../../wispy/frontend/console/series.mjs";

const WINDOW_MS = SLOTS * SLOT_MS;

test("a series keeps the extremes of each slot", () => {
  const series = new Series();
  for (const value of [5, -3, 0, 9, 1]) {
    series.add(value, 1000);
  }
  const { least, greatest, low, high } = series.lines(1000);
  assert.deepEqual([least.at(-1), greatest.at(-1), low, high], [-3, 9, -3, 9]);
  assert.ok(Number.isNaN(least[0]));
});

test("between updates a value holds", () => {
  const series = new Series();
  series.add(2, 0);
  series.add(4, 10 * SLOT_MS);
  assert.deepEqual([...series.lines(12 * SLOT_MS).least.slice(-4)], [2, 4, 4, 4]);
});

test("a value that is older than the plot holds, too", () => {
  const series = new Series();
  series.add(7, 0);
  for (const after of [WINDOW_MS - SLOT_MS, WINDOW_MS, 10 * WINDOW_MS]) {
    const { least, low, high } = series.lines(after);
    assert.deepEqual([least.at(0), least.at(-1), low, high], [7, 7, 7, 7], String(after));
  }
});

test("old extremes leave with their slot", () => {
  const series = new Series();
  series.add(100, 0);
  series.add(1, SLOT_MS);
  assert.equal(series.lines(SLOT_MS).high, 100);
  assert.equal(series.lines(WINDOW_MS + SLOT_MS).high, 1);
});

test("what is no number leaves a hole and spoils no range", () => {
  const series = new Series();
  series.add(NaN, 0);
  series.add(3, SLOT_MS);
  series.add(Infinity, 2 * SLOT_MS);
  const { low, high } = series.lines(2 * SLOT_MS);
  assert.deepEqual([low, high], [3, 3]);
});

test("how a value is drawn", () => {
  assert.deepEqual(drawable(true), { over: "time", numbers: [1] });
  assert.equal(drawable([0.5, 2]).over, "time");
  assert.equal(drawable(Array(64).fill(0)).over, "index");
  for (const value of ["4", null, [], [1, "x"], [1, 2, 3, 4, 5], { a: 1 }]) {
    assert.equal(drawable(value), null);
  }
});

test("a rate", () => {
  const rate = new Rate();
  for (let now = 0; now < 4000; now += 10) {
    rate.add(now);
  }
  assert.ok(Math.abs(rate.read(4000) - 100) < 2, String(rate.read(4000)));
  assert.equal(rate.read(9000), 0);
});

const object = (calls, generation = 1) => ({ name: "s", owner: { generation }, counts: { calls, updates: 2 * calls }, busy_ms: calls });
const status = (clock_ms, ...objects) => ({ objects, clock_ms });

test("rates between two answers", () => {
  const rates = ratesOf(status(1000, object(10)), status(3000, object(30)));
  assert.deepEqual(rates.get("s"), { requests: 10, updates: 20, busy: 0.01 });
  assert.equal(ratesOf(null, status(1000, object(1))).size, 0);
  assert.equal(ratesOf(status(1000, object(10)), status(3000, object(5, 2))).size, 0, "another owner counts anew");
  const shared = { ...object(30), workers: 2 };
  assert.equal(ratesOf(status(1000, object(10)), status(3000, shared)).size, 0, "so does another number of workers");
  assert.deepEqual([0, 0.25, 12.6].map(rateText), ["0", "0.3", "13"]);
});

test("Python's source is cut, and nothing is lost", () => {
  const text = 'def f(x):  # it\'s\n    """Doc: "quoted"."""\n    return x + 1.5 if x else "a\\"b"\n';
  assert.equal(pieces(text).map((piece) => piece.text).join(""), text);
  const kinds = pieces(text).filter(({ kind }) => kind);
  assert.deepEqual(kinds.map(({ kind }) => kind), [
    "keyword", "comment", "string", "keyword", "number", "keyword", "keyword", "string",
  ]);
});
