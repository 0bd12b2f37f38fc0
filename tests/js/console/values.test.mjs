/** Values as text, and what people type as values. */
import assert from "node:assert/strict";
import { test } from "node:test";

import "../../../wispyjs/rpc.js";
import * as values from "../../../wispy/frontend/console/values.mjs";

test("a value in one line", () => {
  assert.equal(values.inline({ a: [1, "x", null], b: true }), '{"a": [1, "x", null], "b": true}');
  assert.equal(values.inline([NaN, -Infinity, 2n ** 60n]), "[NaN, -Infinity, 1152921504606846976]");
  assert.equal(values.inline([]), "[]");
  assert.equal(values.inline({}), "{}");
  assert.equal(values.inline(undefined), "null");
});

test("a value over several lines keeps rows of numbers together", () => {
  assert.equal(values.spread({ a: [1, 2], b: { c: {} } }), '{\n  "a": [1, 2],\n  "b": {\n    "c": {}\n  }\n}');
});

test("writing a huge value stops where there is enough", () => {
  let looked = 0;
  const huge = Array.from({ length: 1_000_000 }, () => 1);
  const counting = new Proxy(huge, {
    get: (target, name) => {
      looked += typeof name === "string" && /^\d+$/.test(name) ? 1 : 0;
      return target[name];
    },
  });
  assert.equal(values.inline(counting, 50).length, 51);
  assert.ok(looked < 100, `${looked} of its items were looked at`);
  assert.ok(values.inline("x".repeat(1_000_000), 50).length <= 51);
});

test("where any value may stand, JSON is one and other text is text", () => {
  assert.deepEqual(["4", '"4"', "true", "[1]", "hello", "4 K"].map(values.parseAny), [4, "4", true, [1], "hello", "4 K"]);
  for (const broken of ["[1", '{"a": }', '"open']) {
    assert.throws(() => values.parseAny(broken), /no JSON/);
  }
  assert.ok(Number.isNaN(values.parseAny('{"$float": "NaN"}')));
});

test("whole numbers keep their digits", () => {
  assert.deepEqual(["4", " -7 ", "1e3", "9007199254740993"].map(values.parseInteger), [4, -7, 1000, 9007199254740993n]);
  for (const wrong of ["", "1.5", "x", "1e30"]) {
    assert.throws(() => values.parseInteger(wrong), /whole number/);
  }
});

test("numbers are those of Python", () => {
  assert.deepEqual(["1.5", "-inf", "Infinity", "2e-3"].map(values.parseNumber), [1.5, -Infinity, Infinity, 0.002]);
  assert.ok(Number.isNaN(values.parseNumber("nan")));
  for (const wrong of ["", "1,5", "x"]) {
    assert.throws(() => values.parseNumber(wrong), /a number/);
  }
});

test("what is edited goes back as it came", () => {
  for (const value of [{ a: [1, NaN] }, 2n ** 60n, { $int: "5" }, "x", null]) {
    assert.deepEqual(values.parseJson(values.editable(value)), value);
  }
});

test("time spans", () => {
  assert.deepEqual([0.25, 42.4, 1234, 45_000, 61_000, 7_200_000, 200_000_000].map(values.duration), [
    "0.3 ms", "42 ms", "1.23 s", "45.0 s", "1 min", "2 h", "2 d",
  ]);
});
