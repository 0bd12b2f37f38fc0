/** Which field a type asks for, and how filled fields become arguments. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { bind, callText } from "../../../wispy/frontend/console/arguments.mjs";
import { limitsInWords, shortType, widgetOf } from "../../../wispy/frontend/console/schema.mjs";

test("each type has its field", () => {
  const kinds = [
    [{ type: "integer" }, null, "integer"],
    [{ type: "number" }, null, "number"],
    [{ type: "string" }, "str", "text"],
    [{ type: "boolean" }, null, "checkbox"],
    [{ enum: ["a", "b"] }, null, "select"],
    [{ type: "string", format: "date-time" }, null, "datetime-local"],
    [{ type: "string" }, "datetime.datetime", "datetime-local"],
    [{ type: "string" }, "dt.datetime", "datetime-local"],
    [{ type: "string" }, "datetime.date | None", "date"],
    [{ type: "string" }, "time", "time"],
    [{ type: "array" }, null, "json"],
    [{ type: "object" }, null, "json"],
    [{}, null, "any"],
    [{ anyOf: [{ type: "integer" }, { type: "string" }] }, null, "any"],
  ];
  for (const [schema, type, kind] of kinds) {
    assert.equal(widgetOf(schema, type).kind, kind, JSON.stringify(schema));
  }
});

test("an optional type is the same field, and may be None", () => {
  const widget = widgetOf({ anyOf: [{ enum: [1, 2] }, { type: "null" }] });
  assert.deepEqual(widget, { kind: "select", choices: [1, 2], nullable: true, limits: {} });
});

test("limits are told, and kept", () => {
  const schema = { type: "number", exclusiveMinimum: 0, maximum: 50 };
  assert.deepEqual(widgetOf(schema).limits, { above: "0", max: "50" });
  assert.equal(limitsInWords(schema), "> 0, ≤ 50");
  assert.equal(limitsInWords({ anyOf: [schema, { type: "null" }] }), "> 0, ≤ 50");
});

test("annotations lose what only Python needs", () => {
  assert.equal(shortType("typing.Annotated[float, msgspec.Meta(ge=1.5, le=320)]"), "float");
  assert.equal(shortType("dict[str, typing.Any]"), "dict[str, Any]");
  assert.equal(shortType("__main__.Valve"), "Valve");
  assert.equal(shortType(null), "");
});

/** @param {string} text as in a Python signature, without types */
function params(text) {
  let after = "positional_or_keyword";
  return text.split(", ").flatMap((part) => {
    const [name = "", value] = part.split("=");
    if (name.startsWith("**")) {
      return [{ name: name.slice(2), kind: "var_keyword", required: false }];
    }
    if (name.startsWith("*")) {
      after = "keyword_only";
      return name === "*" ? [] : [{ name: name.slice(1), kind: "var_positional", required: false }];
    }
    const given = value === undefined ? {} : { default: JSON.parse(value) };
    return [{ name, kind: after, required: value === undefined, ...given }];
  });
}

const bound = (signature, given) => bind(params(signature), new Map(Object.entries(given)));

test("arguments go by position up to the first that is left out", () => {
  assert.deepEqual(bound("a, b=1, c=2", { a: 4 }), { args: [4], kwargs: {} });
  assert.deepEqual(bound("a, b=1, c=2", { a: 4, b: 5, c: 6 }), { args: [4, 5, 6], kwargs: {} });
  assert.deepEqual(bound("a, b=1, c=2", { a: 4, c: 6 }), { args: [4], kwargs: { c: 6 } });
});

test("gathered arguments follow the others", () => {
  assert.deepEqual(bound("a, *rest, b, **more", { a: 1, rest: [2, 3], b: 4, more: { c: 5 } }), {
    args: [1, 2, 3],
    kwargs: { b: 4, c: 5 },
  });
  assert.deepEqual(bound("a=7, *rest", { rest: [2] }), { args: [7, 2], kwargs: {} });
});

test("what cannot be called is said", () => {
  assert.throws(() => bound("a, *rest", { rest: [2] }), /a must be filled in/);
  assert.throws(() => bound("*rest", { rest: 2 }), /list/);
  assert.throws(() => bound("**more", { more: [] }), /names/);
  const only = [
    { name: "a", kind: "positional_only", required: false },
    { name: "b", kind: "positional_only", required: false },
  ];
  assert.throws(() => bind(only, new Map([["b", 1]])), /a must be filled in/);
});

test("a call reads as in Python", () => {
  assert.equal(callText("s.move", { args: [1, "x"], kwargs: { speed: 3 } }, JSON.stringify), 's.move(1, "x", speed=3)');
});
