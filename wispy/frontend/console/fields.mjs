/**
 * The fields of forms: one for each parameter or attribute, by its type.
 *
 * @typedef {object} Field
 * @property {HTMLElement} element label, input and hints
 * @property {() => any} read the value; `EMPTY` where nothing is filled in
 * @property {(value: any) => void} show puts a value in
 * @property {(message: string) => void} complain shows what is wrong, or "" that nothing is
 * @property {HTMLElement} input
 */

import { freshId, h, say } from "./dom.mjs";
import { limitsInWords, shortType, widgetOf } from "./schema.mjs";
import { editable, inline, parseAny, parseInteger, parseJson, parseNumber } from "./values.mjs";

/** Nothing was filled in. */
export const EMPTY = Symbol("empty");

/** @typedef {import("./schema.mjs").Widget} Widget */
/** @typedef {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement} Input */

/** @type {{[kind in Widget["kind"]]: string}} what to type where the type alone does not say it */
const HINTS = {
  number: "",
  integer: "",
  text: "",
  checkbox: "",
  select: "",
  "datetime-local": "local time",
  date: "",
  time: "",
  json: "JSON",
  any: "JSON or text",
};

/** How the text of a field becomes a value. @type {{[kind in Widget["kind"]]?: (text: string) => any}} */
const READERS = {
  number: parseNumber,
  integer: parseInteger,
  json: parseJson,
  any: parseAny,
  "datetime-local": withSeconds,
  time: withSeconds,
};

/**
 * A field.
 *
 * @param {object} about
 * @param {string} about.name
 * @param {{[name: string]: any}} about.schema
 * @param {string | null} about.type the annotation
 * @param {boolean} about.required whether it must be filled in
 * @param {string} [about.fallback] what holds where it is left empty
 * @param {string} [about.label] instead of the name
 * @returns {Field}
 */
export function field({ name, schema, type, required, fallback, label = name }) {
  const widget = widgetOf(schema, type);
  const id = freshId("field");
  const input = makeInput(widget, required, fallback);
  const problem = h("span", { class: "problem", id: `${id}-problem` });
  const words = [shortType(type), limitsInWords(schema), HINTS[widget.kind]].filter(Boolean).join(" · ");
  const hint = h("span", { class: "hint", id: `${id}-hint` }, words);
  input.id = id;
  input.setAttribute("name", name);
  input.setAttribute("aria-describedby", `${id}-hint ${id}-problem`);
  const mark = required ? h("span", { class: "required", "aria-hidden": "true" }, "*") : null;
  const caption = h("label", { for: id }, label, mark);
  if (required) {
    input.setAttribute("aria-required", "true");
  }
  const element = h("div", { class: `field ${widget.kind}` }, caption, input, hint, problem);
  const complain = (/** @type {string} */ message) => {
    say(problem, message);
    input.setAttribute("aria-invalid", String(message !== ""));
  };
  input.addEventListener("input", () => complain(""));
  return {
    element,
    input,
    complain,
    read: () => readInput(input, widget, required),
    show: (value) => showInput(input, widget, value),
  };
}

/** @param {Widget} widget @param {boolean} required @param {string} [fallback] @returns {Input} */
function makeInput(widget, required, fallback) {
  const placeholder = fallback ?? (widget.nullable ? "null" : "");
  switch (widget.kind) {
    case "checkbox":
      // Three answers where not filling it in is one.
      return required && !widget.nullable
        ? h("input", { type: "checkbox" })
        : select([true, false], placeholder, widget.nullable);
    case "select":
      return select(widget.choices ?? [], required ? "" : placeholder, widget.nullable);
    case "json":
    case "any":
      return h("textarea", { rows: 1, placeholder, spellcheck: "false", autocapitalize: "off" });
    case "number":
    case "integer": {
      // Not type=number: it hides what it cannot read, takes no nan, and turns with the mouse wheel.
      const inputmode = widget.kind === "integer" ? "numeric" : "decimal";
      return h("input", { type: "text", inputmode, placeholder, autocomplete: "off" });
    }
    case "text":
      return h("input", { type: "text", placeholder, ...widget.limits, autocomplete: "off" });
    default:
      return h("input", { type: widget.kind, step: 1 });
  }
}

/** @param {any[]} choices @param {string} placeholder @param {boolean} nullable */
function select(choices, placeholder, nullable) {
  const textOf = (/** @type {any} */ choice) => inline(choice).replaceAll('"', "");
  const options = choices.map((choice) => h("option", { value: JSON.stringify(choice) }, textOf(choice)));
  const none = nullable ? [h("option", { value: "null" }, "null")] : [];
  const empty = h("option", { value: "" }, placeholder ? `${placeholder.replaceAll('"', "")} (default)` : "choose…");
  return h("select", {}, empty, ...options, ...none);
}

/** @param {Input} input @param {Widget} widget @param {boolean} required */
function readInput(input, widget, required) {
  if (input instanceof HTMLInputElement && input.type === "checkbox") {
    return input.checked;
  }
  const text = input.value;
  if (text === "") {
    if (!required) {
      return EMPTY;
    }
    if (widget.kind === "text") {
      return ""; // an empty text is one
    }
    throw new Error("this must be filled in");
  }
  if (input instanceof HTMLSelectElement) {
    return JSON.parse(text);
  }
  if (widget.nullable && text.trim() === "null") {
    return null;
  }
  const read = READERS[widget.kind];
  return read ? within(read(text), widget) : text;
}

/**
 * A date with a time, or a time, as RFC 3339 has it: browsers leave seconds away that are zero.
 *
 * @param {string} text
 */
function withSeconds(text) {
  return /(^|T)\d\d:\d\d$/.test(text) ? `${text}:00` : text;
}

/** @param {any} value @param {Widget} widget */
function within(value, { limits }) {
  if (limits.min !== undefined && value < Number(limits.min)) {
    throw new Error(`this must not be below ${limits.min}`);
  }
  if (limits.above !== undefined && value <= Number(limits.above)) {
    throw new Error(`this must be above ${limits.above}`);
  }
  if (limits.below !== undefined && value >= Number(limits.below)) {
    throw new Error(`this must be below ${limits.below}`);
  }
  if (limits.max !== undefined && value > Number(limits.max)) {
    throw new Error(`this must not be above ${limits.max}`);
  }
  return value;
}

/** @param {Input} input @param {Widget} widget @param {any} value */
function showInput(input, widget, value) {
  if (input instanceof HTMLInputElement && input.type === "checkbox") {
    input.checked = Boolean(value);
  } else if (input instanceof HTMLSelectElement) {
    input.value = JSON.stringify(value) ?? "";
  } else if (input instanceof HTMLTextAreaElement) {
    const text = editable(value);
    input.value = text;
    input.rows = Math.min(12, text.split("\n").length);
  } else {
    const text = value === null ? "null" : String(value ?? "");
    // A field for times takes milliseconds, and nothing that has Python's microseconds.
    input.value = /^(time|datetime-local)$/.test(input.type) ? text.replace(/(:\d\d\.\d{3})\d+$/, "$1") : text;
  }
}
