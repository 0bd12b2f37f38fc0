/** The formats of binding expressions: how a value is shown. Each is a function of the value and its arguments. */
import { ExpressionError } from "./expressions.mjs";

/**
 * A moment, of Python's seconds or of an ISO text. A date alone, which JavaScript would take for midnight in London, and a
 * time alone, which it does not know, are local ones.
 *
 * @param {any} value
 */
function moment(value) {
  if (typeof value === "number") {
    return new Date(value * 1000);
  }
  const text = String(value);
  return new Date(/^\d\d:/.test(text) ? `1970-01-01T${text}` : /^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00` : text);
}

/** The text of a value. @param {any} value @returns {string} */
export function textOf(value) {
  if (value === null || value === undefined) {
    return "";
  }
  return typeof value === "object" ? JSON.stringify(value, plain) : String(value);
}

/** What JSON has no word for. @param {string} _key @param {any} value */
function plain(_key, value) {
  return typeof value === "bigint" || (typeof value === "number" && !Number.isFinite(value)) ? String(value) : value;
}

/** @param {(value: any, ...args: any[]) => any} format leaves what is no value as it is */
const ofValue = (format) => (/** @type {any} */ value, /** @type {any[]} */ ...args) =>
  value === null || value === undefined ? value : format(value, ...args);

/**
 * By name: the function, and how many arguments it takes.
 *
 * @type {Record<string, {args: [number, number], run: (value: any, ...args: any[]) => any}>}
 */
export const FORMATS = {
  fixed: { args: [0, 1], run: ofValue((value, digits = 0) => Number(value).toFixed(digits)) },
  number: {
    args: [0, 1],
    run: ofValue((value, digits = 3) => Number(value).toLocaleString(undefined, { maximumFractionDigits: digits })),
  },
  percent: { args: [0, 1], run: ofValue((value, digits = 0) => `${(100 * Number(value)).toFixed(digits)} %`) },
  as: { args: [1, 1], run: ofValue((value, pattern) => String(pattern).split("{}").join(textOf(value))) },
  or: { args: [1, 1], run: (value, text) => (value === null || value === undefined || value === "" ? text : value) },
  upper: { args: [0, 0], run: ofValue((value) => textOf(value).toUpperCase()) },
  lower: { args: [0, 0], run: ofValue((value) => textOf(value).toLowerCase()) },
  json: { args: [0, 1], run: (value, indent = 0) => JSON.stringify(value ?? null, plain, indent) },
  join: { args: [0, 1], run: ofValue((value, between = ", ") => [value].flat().map(textOf).join(between)) },
  length: { args: [0, 0], run: ofValue((value) => (typeof value === "object" ? Object.keys(value) : [...textOf(value)]).length) },
  date: { args: [0, 0], run: ofValue((value) => moment(value).toLocaleDateString()) },
  time: { args: [0, 0], run: ofValue((value) => moment(value).toLocaleTimeString()) },
  datetime: { args: [0, 0], run: ofValue((value) => moment(value).toLocaleString()) },
  is: { args: [1, 1], run: (value, other) => value === other || (value !== null && textOf(value) === textOf(other)) },
  not: { args: [0, 0], run: (value) => !isTrue(value) },
  above: { args: [1, 1], run: (value, limit) => value !== null && value !== undefined && value > limit },
  below: { args: [1, 1], run: (value, limit) => value !== null && value !== undefined && value < limit },
  choose: { args: [2, 2], run: (value, yes, no) => (isTrue(value) ? yes : no) },
};

/** Whether a value counts as true: as in Python, an empty list or dict does not. @param {any} value */
export function isTrue(value) {
  return typeof value === "object" && value !== null ? Object.keys(value).length > 0 : Boolean(value);
}

/** @param {string} name @returns {(typeof FORMATS)[string] | undefined} */
function formatNamed(name) {
  if (Object.hasOwn(FORMATS, name)) {
    return FORMATS[name];
  }
  const own = globalThis.page?.formats ?? {}; // those of the page's own script
  return Object.hasOwn(own, name) && own[name] ? { args: [0, Infinity], run: own[name] } : undefined;
}

/**
 * A function that does what an expression's formats say.
 *
 * @param {import("./expressions.mjs").Format[]} formats
 * @throws {ExpressionError} where there is no such format, or it takes other arguments
 */
export function formatter(formats) {
  const steps = formats.map(({ name, args }) => {
    const format = formatNamed(name);
    if (!format) {
      throw new ExpressionError(`there is no format ${name}; there are ${Object.keys(FORMATS).sort().join(", ")}`);
    }
    const [least, most] = format.args;
    if (args.length < least || args.length > most) {
      throw new ExpressionError(`the format ${name} takes ${least === most ? least : `${least} to ${most}`} argument(s)`);
    }
    return { run: format.run, args };
  });
  return (/** @type {any} */ value) => steps.reduce((result, { run, args }) => run(result, ...args), value);
}
