/** Values: what JavaScript sends, and what it makes of the wire. The table is that of the Python tests, too. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import "../../wispyjs/rpc.js";

const { encode, parse } = globalThis.wispyjs;
const wire = (value) => JSON.stringify(encode(value));

const SENT = [
  [undefined, "null"],
  [[undefined, null], "[null,null]"],
  [{ a: undefined }, '{"a":null}'],
  [NaN, '{"$float":"NaN"}'],
  [[Infinity, -Infinity], '[{"$float":"Infinity"},{"$float":"-Infinity"}]'],
  [2n ** 53n, '{"$int":"9007199254740992"}'],
  [-(2n ** 53n) + 1n, "-9007199254740991"],
  [7n, "7"],
  [{ $int: "5" }, '{"$dict":{"$int":"5"}}'],
  [{ $dict: {} }, '{"$dict":{"$dict":{}}}'],
  [{ $float: NaN }, '{"$dict":{"$float":{"$float":"NaN"}}}'],
  [{ $int: "5", b: 1 }, '{"$int":"5","b":1}'],
  [{ $other: 1 }, '{"$other":1}'],
  [new Date(0), '"1970-01-01T00:00:00.000Z"'],
  [new Float64Array([1, NaN]), '[1,{"$float":"NaN"}]'],
  [new BigUint64Array([2n ** 60n]), '[{"$int":"1152921504606846976"}]'],
  [JSON.parse('{"__proto__":{"a":1}}'), '{"__proto__":{"a":1}}'],
  [new (class Point { x = 1; })(), '{"x":1}'],
  [Object.create(null), "{}"],
];

for (const [value, text] of SENT) {
  test(`sends ${text}`, () => assert.equal(wire(value), text));
}

test("the same value in two places is no cycle", () => {
  const shared = [1];
  assert.equal(wire([shared, shared]), "[[1],[1]]");
});

const UNSENDABLE = [() => {}, Symbol("s"), new Map(), new Set(), /x/, Promise.resolve(1), new Error("e"), new ArrayBuffer(1), new Date(NaN)];

for (const value of UNSENDABLE) {
  test(`refuses ${Object.prototype.toString.call(value)}`, () => assert.throws(() => encode([value]), TypeError));
}

const RECEIVED = [
  ['{"$float":"NaN"}', NaN],
  ['[{"$float":"Infinity"},{"$float":"-Infinity"}]', [Infinity, -Infinity]],
  ['{"$int":"18446744073709551616"}', 2n ** 64n],
  ['{"$dict":{"$int":"5"}}', { $int: "5" }],
  ['{"$dict":{"$dict":{"$float":"NaN"}}}', { $dict: NaN }],
  ['{"a":{"\\u0024int":"9007199254740993"}}', { a: 9007199254740993n }],
  ['{"$int":"5","b":1}', { $int: "5", b: 1 }],
  ['{"__proto__":{"$int":"9007199254740993"}}', JSON.parse('{"__proto__":0}'), 9007199254740993n],
];

for (const [text, value, prototype] of RECEIVED) {
  test(`reads ${text}`, () => {
    const read = parse(text);
    if (prototype === undefined) {
      assert.deepEqual(read, value);
    } else {
      assert.equal(Object.getOwnPropertyDescriptor(read, "__proto__").value, prototype);
    }
  });
}

const TABLE = JSON.parse(readFileSync(new URL("../vectors/values.json", import.meta.url), "utf8")).slice(1);

/** The value that an entry of the table describes. */
function described([type, content]) {
  switch (type) {
    case "null":
      return null;
    case "int":
      return Number.isSafeInteger(Number(content)) ? Number(content) : BigInt(content);
    case "float":
      return Number(content);
    case "list":
      return content.map(described);
    case "dict":
      return Object.fromEntries(content.map(([name, value]) => [name, described(value)]));
    default:
      return content;
  }
}

/** JSON.parse makes -0 of "-0", which Python reads as the integer 0. */
const plain = (value) => (value === 0 ? 0 : value);

// What the table says is refused is refused by the server; a page trusts what its server sends.
for (const { name, wire: text, python, decode_only } of TABLE.filter(({ refused }) => !refused)) {
  test(`table: ${name}`, () => {
    assert.deepStrictEqual(plain(parse(text)), text.startsWith('{"$int"') ? BigInt(python[1]) : described(python));
    if (!decode_only) {
      assert.deepStrictEqual(JSON.parse(wire(parse(text))), JSON.parse(text));
    }
  });
}
