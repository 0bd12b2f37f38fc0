/** The language of the binding attributes, and its formats. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { ATTRIBUTES } from "../../wispyjs/page/attributes.mjs";
import { parseAction, parseExpression, parseLoop, parsePairs } from "../../wispyjs/page/expressions.mjs";
import { FORMATS, formatter, isTrue, textOf } from "../../wispyjs/page/formats.mjs";
import { dig, splitChannel } from "../../wispyjs/page/sources.mjs";

const path = (...names) => ({ operand: { kind: "path", names }, formats: [] });
const constant = (value) => ({ operand: { kind: "constant", value }, formats: [] });
const field = (id) => ({ operand: { kind: "field", id }, formats: [] });

const EXPRESSIONS = {
  "sample.a": path("sample", "a"),
  " sample.c.0.größe ": path("sample", "c", "0", "größe"),
  "$state": path("$state"),
  "#my-field": field("my-field"),
  "-1.5e3": constant(-1500),
  "-12345678901234567890": constant(-12345678901234567890n),
  "'it''s'": null,
  "'it\\'s'": constant("it's"),
  '"a | b"': constant("a | b"),
  "true": constant(true),
  "null": constant(null),
  "a.b | fixed 2 | as '{} V'": {
    ...path("a", "b"),
    formats: [{ name: "fixed", args: [2] }, { name: "as", args: ["{} V"] }],
  },
  "a.b | is auto": { ...path("a", "b"), formats: [{ name: "is", args: ["auto"] }] },
  "": null,
  "a.": null,
  "a..b": null,
  "a |": null,
  "a | 2": null,
  "a b": null,
  "a.b()": null,
  "a[0]": null,
  "a + b": null,
  "'open": null,
  "`x`": null,
};

for (const [text, expected] of Object.entries(EXPRESSIONS)) {
  test(`expression ${JSON.stringify(text)}`, () => {
    if (expected === null) {
      assert.throws(() => parseExpression(text), { name: "ExpressionError" });
    } else {
      assert.deepEqual(parseExpression(text), expected);
    }
  });
}

test("a mistake says what was expected, what is there, and where", () => {
  assert.throws(() => parseExpression("a.b | fixed 2 }"), { message: /but there is "}" \(at column 15\)/ });
  assert.throws(() => parseExpression("a.b |"), { message: "expected the name of a format, but it ends" });
});

test("pairs", () => {
  assert.deepEqual(parsePairs("is-lit: a.on; b: a.x | is 'p;q:r' ;"), [
    ["is-lit", path("a", "on")],
    ["b", { ...path("a", "x"), formats: [{ name: "is", args: ["p;q:r"] }] }],
  ]);
  assert.throws(() => parsePairs("a.on"), { message: /expected name: expression/ });
});

test("loops", () => {
  assert.deepEqual(parseLoop("row of a.rows"), { key: undefined, item: "row", names: ["a", "rows"] });
  assert.deepEqual(parseLoop("key, row of a.rows"), { key: "key", item: "row", names: ["a", "rows"] });
  for (const wrong of ["row", "row in a.rows", "a.b of c.d", "row of a.rows x"]) {
    assert.throws(() => parseLoop(wrong), { name: "ExpressionError" });
  }
});

test("actions", () => {
  const kwargs = [["c", field("d")]];
  assert.deepEqual(parseAction("a.f(1, b.x, c=#d)"), { names: ["a", "f"], args: [constant(1), path("b", "x")], kwargs });
  assert.deepEqual(parseAction("a.f()"), { names: ["a", "f"], args: [], kwargs: [] });
  assert.deepEqual(parseAction("a.on = a.on | not"), {
    names: ["a", "on"],
    value: { ...path("a", "on"), formats: [{ name: "not", args: [] }] },
  });
  for (const wrong of ["a.f", "a.f(", "a.f(1 2)", "a.f() b", "a.f(g())", "alert('x'); a.f()", "a = b = c"]) {
    assert.throws(() => parseAction(wrong), { name: "ExpressionError" });
  }
});

const SHOWN = [
  ["a | fixed 2", 1.005, "1.00"],
  ["a | fixed", 1.6, "2"],
  ["a | fixed 1", null, null],
  ["a | percent 1", 0.1234, "12.3 %"],
  ["a | as '{} of {}'", [1, 2], "[1,2] of [1,2]"],
  ["a | or none", "", "none"],
  ["a | or none", 0, 0],
  ["a | upper", "x", "X"],
  ["a | json", { b: 2n ** 70n, c: NaN }, '{"b":"1180591620717411303424","c":"NaN"}'],
  ["a | join '-'", [1, null, "x"], "1--x"],
  ["a | length", { a: 1, b: 2 }, 2],
  ["a | length", "héé", 3],
  ["a | is auto", "auto", true],
  ["a | is 1", "1", true],
  ["a | is ''", null, false],
  ["a | not", [], true],
  ["a | above 5", 6, true],
  ["a | below 5", null, false],
  ["a | above -5", null, false],
  ["a | choose yes no", {}, "no"],
];

for (const [text, value, shown] of SHOWN) {
  test(`${text} of ${textOf(value)}`, () => assert.deepEqual(formatter(parseExpression(text).formats)(value), shown));
}

test("a format that is not there, or takes other arguments, is told", () => {
  assert.throws(() => formatter([{ name: "toString", args: [] }]), { message: /there is no format toString; there are above/ });
  assert.throws(() => formatter([{ name: "is", args: [] }]), { message: "the format is takes 1 argument(s)" });
});

test("a date is a number of seconds or an ISO text", () => {
  const year = (value) => FORMATS.date.run(value).includes("2026");
  assert.ok(year(1_795_000_000) && year("2026-11-27T08:00:00Z"));
});

test("a date alone and a time alone are those of where the page is", () => {
  const { TZ } = process.env;
  process.env.TZ = "America/New_York";
  try {
    assert.equal(FORMATS.date.run("2026-03-01"), new Date(2026, 2, 1).toLocaleDateString());
    assert.equal(FORMATS.time.run("12:30:00"), new Date(1970, 0, 1, 12, 30).toLocaleTimeString());
    assert.equal(FORMATS.time.run("2026-03-01T12:30:00Z"), new Date(1970, 0, 1, 7, 30).toLocaleTimeString());
  } finally {
    process.env.TZ = TZ;
    if (TZ === undefined) {
      delete process.env.TZ;
    }
  }
});

test("truth is Python's", () => {
  assert.deepEqual([0, "", null, [], {}, false, 0n].map(isTrue), Array(7).fill(false));
  assert.deepEqual([1, "x", [0], { a: 0 }, true].map(isTrue), Array(5).fill(true));
});

test("only what is a value's own is found in it", () => {
  assert.deepEqual(dig({ a: [{ b: 1 }] }, ["a", "0", "b"]), 1);
  for (const names of [["constructor"], ["a", "length", "x"], ["__proto__"], ["a", "map"], ["none", "deeper"]]) {
    assert.equal(dig({ a: [1] }, names), null);
  }
});

test("the longest channel is taken", () => {
  const channels = new Set(["motor", "motor.position"]);
  assert.deepEqual(splitChannel(["motor", "position", "x"], channels), { channel: "motor.position", inner: ["x"] });
  assert.deepEqual(splitChannel(["motor", "speed"], channels), { channel: "motor", inner: ["speed"] });
  assert.deepEqual(splitChannel(["label"], channels), { channel: null, inner: [] });
});

test("the reference names each attribute and each format, and no other", () => {
  const page = readFileSync(new URL("../../docs/reference/page-bindings.md", import.meta.url), "utf8");
  const namesIn = (heading) => {
    const [, section = ""] = page.split(`## ${heading}\n`);
    return [...section.split("\n## ")[0].matchAll(/^\| `([\w-]+)/gm)].map(([, name]) => name);
  };
  assert.deepEqual(namesIn("Attributes"), Object.keys(ATTRIBUTES));
  assert.deepEqual(namesIn("Formats"), Object.keys(FORMATS));
});
