/**
 * Values as text, and text as values. A value is written as JSON is, with NaN, infinities and long integers as Python
 * has them. Whatever its size, what is written is bounded, and so is the time that writing it takes.
 */

/** @param {string} text @param {number} limit */
const cut = (text, limit) => (text.length > limit ? `${text.slice(0, limit)}…` : text);

/** Stops writing where there is enough text. */
class Writer {
  /** @type {string[]} */
  #parts = [];
  #length = 0;

  /** @param {number} limit characters @param {number} indent spaces at each level; 0: all in one line */
  constructor(limit, indent) {
    this.limit = limit;
    this.indent = indent;
  }

  get isFull() {
    return this.#length > this.limit;
  }

  get text() {
    return cut(this.#parts.join(""), this.limit);
  }

  /** @param {string} text */
  add(text) {
    this.#parts.push(text);
    this.#length += text.length;
  }

  /** @param {any} value @param {number} level */
  write(value, level = 0) {
    if (typeof value === "string") {
      this.add(JSON.stringify(cut(value, this.limit)));
    } else if (value === undefined) {
      this.add("null");
    } else if (typeof value !== "object" || value === null) {
      this.add(String(value));
    } else if (Array.isArray(value)) {
      // A row of plain numbers or words reads better in one line, also where others are spread.
      const isFlat = this.indent === 0 || (value.length <= 1000 && value.every((each) => typeof each !== "object"));
      this.#writeAll("[", value.keys(), (at) => this.write(value[at], level + 1), "]", isFlat ? -1 : level);
    } else {
      const names = Object.keys(value).values();
      const write = (/** @type {string} */ name) => {
        this.add(`${JSON.stringify(name)}: `);
        this.write(value[name], level + 1);
      };
      this.#writeAll("{", names, write, "}", this.indent === 0 ? -1 : level);
    }
  }

  /**
   * @template Key
   * @param {string} open
   * @param {Iterable<Key>} keys
   * @param {(key: Key) => void} writeOne
   * @param {string} close
   * @param {number} level of the brackets; -1: in one line
   */
  #writeAll(open, keys, writeOne, close, level) {
    const newline = (/** @type {number} */ depth) => `\n${" ".repeat(this.indent * depth)}`;
    let isFirst = true;
    this.add(open);
    for (const key of keys) {
      if (this.isFull) {
        return;
      }
      this.add(isFirst ? "" : level < 0 ? ", " : ",");
      this.add(level < 0 ? "" : newline(level + 1));
      writeOne(key);
      isFirst = false;
    }
    this.add(isFirst || level < 0 ? close : newline(level) + close);
  }
}

/** A value in one line. @param {unknown} value @param {number} [limit] characters */
export function inline(value, limit = 160) {
  const writer = new Writer(limit, 0);
  writer.write(value);
  return writer.text;
}

/** A value over several lines. @param {unknown} value @param {number} [limit] characters */
export function spread(value, limit = 20_000) {
  const writer = new Writer(limit, 2);
  writer.write(value);
  return writer.text;
}

/** A value as JSON that can be changed and sent back. @param {unknown} value */
export function editable(value) {
  return JSON.stringify(globalThis.wispyjs.encode(value), null, 2) ?? "null";
}

/**
 * The value that a text of JSON stands for.
 *
 * @param {string} text
 * @throws {Error} it is no JSON; the message says what is wrong
 */
export function parseJson(text) {
  try {
    return globalThis.wispyjs.parse(text);
  } catch (error) {
    throw new Error(`this is no JSON: ${error instanceof Error ? error.message : error}`);
  }
}

const STARTS_JSON = /^\s*[[{"]/;

/**
 * What somebody typed where any value may stand: JSON, or else plain text. What begins like JSON must be JSON, so that a
 * forgotten bracket is not sent as text.
 *
 * @param {string} text
 * @throws {Error} it begins like JSON and is none
 */
export function parseAny(text) {
  try {
    return parseJson(text);
  } catch (error) {
    if (STARTS_JSON.test(text)) {
      throw error;
    }
    return text;
  }
}

/** An integer, a BigInt where a number would lose digits. @param {string} text @throws {Error} it is none */
export function parseInteger(text) {
  const trimmed = text.trim();
  if (/^[+-]?\d+$/.test(trimmed)) {
    const number = Number(trimmed);
    return Number.isSafeInteger(number) ? number : BigInt(trimmed.replace(/^\+/, ""));
  }
  const number = Number(trimmed);
  if (trimmed === "" || !Number.isSafeInteger(number)) {
    throw new Error("this must be a whole number");
  }
  return number;
}

const NAMED = new Map([
  ["nan", NaN],
  ["inf", Infinity],
  ["infinity", Infinity],
]);

/** A number; also `nan` and `inf`, as Python writes them. @param {string} text @throws {Error} it is none */
export function parseNumber(text) {
  const trimmed = text.trim();
  const unsigned = trimmed.replace(/^[+-]/, "").toLowerCase();
  const named = NAMED.get(unsigned);
  if (named !== undefined) {
    return trimmed.startsWith("-") ? -named : named;
  }
  const number = Number(trimmed);
  if (trimmed === "" || !Number.isFinite(number)) {
    throw new Error("this must be a number");
  }
  return number;
}

/** A time span. @param {number} ms */
export function duration(ms) {
  if (ms < 10) {
    return `${ms.toFixed(1)} ms`;
  }
  if (ms < 1000) {
    return `${Math.round(ms)} ms`;
  }
  const seconds = ms / 1000;
  if (seconds < 60) {
    return `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;
  }
  const steps = /** @type {[number, string][]} */ ([[60, "min"], [3600, "h"], [86_400, "d"]]);
  const [size, unit] = steps.findLast(([least]) => seconds >= least) ?? [60, "min"];
  return `${Math.floor(seconds / size)} ${unit}`;
}
