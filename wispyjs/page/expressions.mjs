/**
 * The language of the binding attributes: it names what is shown, and never runs as JavaScript.
 *
 *     expression  operand { "|" format { argument } }           sample.a | fixed 2 | as "{} V"
 *     operand     path | "#" id of a field | number | text in quotes | true | false | null
 *     path        name { "." name or index }                    sample.motor.position
 *     action      path "(" [ arguments ] ")" | path "=" expression
 *     arguments   expression or name "=" expression, separated by ","
 *     pairs       name ":" expression, separated by ";"
 *     loop        [ name "," ] name "of" path
 *
 * An argument of a format is a number, a text in quotes, or a bare word, which is a text.
 */

/**
 * @typedef {{kind: "constant", value: any} | {kind: "path", names: string[]} | {kind: "field", id: string}} Operand
 * @typedef {{name: string, args: any[]}} Format
 * @typedef {{operand: Operand, formats: Format[]}} Expression
 * @typedef {{names: string[], args: Expression[], kwargs: [string, Expression][]}} Call
 * @typedef {{names: string[], value: Expression}} Assignment
 */

/** A binding that cannot be understood; the message says where. */
export class ExpressionError extends Error {
  /** @override */
  name = "ExpressionError";
}

const NAME = String.raw`[\p{ID_Start}_][\p{ID_Continue}]*`;
const TOKEN = new RegExp(
  [
    String.raw`(?<blank>\s+)`,
    String.raw`(?<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)`,
    String.raw`"(?<double>(?:[^"\\]|\\.)*)"|'(?<single>(?:[^'\\]|\\.)*)'`,
    String.raw`#(?<id>[\w:.-]+)`,
    String.raw`(?<path>\$?${NAME}(?:\.(?:${NAME}|\d+))*)`,
    String.raw`(?<mark>[|(),;:=])`,
  ].join("|"),
  "uy",
);
/** @type {Record<string, any>} */
const WORDS = { true: true, false: false, null: null };

/** @typedef {{kind: string, text: string, at: number}} Token */

class Reader {
  /** @type {Token[]} */
  #tokens = [];
  #text;

  /** @param {string} text */
  constructor(text) {
    this.#text = text;
    TOKEN.lastIndex = 0;
    while (TOKEN.lastIndex < text.length) {
      const at = TOKEN.lastIndex;
      const groups = TOKEN.exec(text)?.groups;
      if (!groups) {
        throw this.#wrong("a name, a number, a text in quotes or a mark", at);
      }
      const [kind, value] = /** @type {[string, string]} */ (Object.entries(groups).find(([, found]) => found !== undefined));
      if (kind === "double" || kind === "single") {
        this.#tokens.push({ kind: "text", text: value.replace(/\\(.)/gs, "$1"), at });
      } else if (kind !== "blank") {
        this.#tokens.push({ kind, text: value, at });
      }
    }
  }

  /** The token that is `ahead` of the next one. */
  peek(ahead = 0) {
    return this.#tokens[ahead];
  }

  /** @param {string} kind @param {string} [text] */
  is(kind, text, ahead = 0) {
    const token = this.peek(ahead);
    return token?.kind === kind && (text === undefined || token.text === text);
  }

  /** @param {string} mark */
  skips(mark) {
    return this.is("mark", mark) && this.#tokens.shift() !== undefined;
  }

  /** @param {string} kind @param {string} what @param {string} [text] @returns {string} */
  take(kind, what, text) {
    if (!this.is(kind, text)) {
      throw this.#wrong(what, this.peek()?.at);
    }
    return /** @type {Token} */ (this.#tokens.shift()).text;
  }

  /** One name, without dots. @param {string} what */
  takeName(what) {
    const at = this.peek()?.at;
    const name = this.take("path", what);
    if (name.includes(".") || name.startsWith("$")) {
      throw this.#wrong(what, at);
    }
    return name;
  }

  /** @param {string} what */
  takePath(what) {
    return this.take("path", what).split(".");
  }

  end() {
    if (this.peek()) {
      throw this.#wrong("the end", this.peek()?.at);
    }
  }

  /** @returns {Expression} */
  takeExpression() {
    const operand = this.#takeOperand();
    const formats = [];
    while (this.skips("|")) {
      const format = { name: this.takeName("the name of a format"), args: /** @type {any[]} */ ([]) };
      while (this.is("number") || this.is("text") || this.is("path")) {
        format.args.push(this.#takeConstant());
      }
      formats.push(format);
    }
    return { operand, formats };
  }

  /** @returns {Operand} */
  #takeOperand() {
    if (this.is("id")) {
      return { kind: "field", id: this.take("id", "") };
    }
    const word = this.peek();
    if (word?.kind === "path" && !Object.hasOwn(WORDS, word.text)) {
      return { kind: "path", names: this.takePath("") };
    }
    return { kind: "constant", value: this.#takeConstant() };
  }

  #takeConstant() {
    if (this.is("number")) {
      const text = this.take("number", "");
      return /^-?\d+$/.test(text) && !Number.isSafeInteger(Number(text)) ? BigInt(text) : Number(text); // all of its digits
    }
    if (this.is("text")) {
      return this.take("text", "");
    }
    const word = this.take("path", "a path, as in sample.a, a number, or a text in quotes");
    return Object.hasOwn(WORDS, word) ? WORDS[word] : word;
  }

  /** @param {string} what @param {number} [at] */
  #wrong(what, at) {
    const found = at === undefined ? "it ends" : `there is ${JSON.stringify(this.#text.slice(at, at + 20))}`;
    return new ExpressionError(`expected ${what}, but ${found}${at === undefined ? "" : ` (at column ${at + 1})`}`);
  }
}

/** @template T @param {string} text @param {(reader: Reader) => T} take */
function whole(text, take) {
  const reader = new Reader(text);
  const taken = take(reader);
  reader.end();
  return taken;
}

/** @param {string} text @returns {Expression} */
export const parseExpression = (text) => whole(text, (reader) => reader.takeExpression());

/** Pairs for classes and attributes, whose names may have hyphens. @param {string} text @returns {[string, Expression][]} */
export function parsePairs(text) {
  /** @type {[string, Expression][]} */
  const pairs = [];
  // Split by hand: a hyphen belongs to a class' name, and to no path. A ";" may stand in a quoted text.
  for (const part of text.match(/(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^;])+/gs) ?? []) {
    const [, name, rest] = /^\s*([^\s:;|"']+)\s*:(.*)$/s.exec(part) ?? [];
    if (name !== undefined && rest !== undefined) {
      pairs.push([name, parseExpression(rest)]);
    } else if (part.trim()) {
      throw new ExpressionError(`expected name: expression, but there is ${JSON.stringify(part.trim())}`);
    }
  }
  return pairs;
}

/** @param {string} text @returns {{key: string | undefined, item: string, names: string[]}} */
export function parseLoop(text) {
  return whole(text, (reader) => {
    let item = reader.takeName("a name for the item, as in item of sample.list");
    const key = reader.skips(",") ? item : undefined;
    if (key !== undefined) {
      item = reader.takeName("a name for the item");
    }
    reader.take("path", '"of"', "of");
    return { key, item, names: reader.takePath("a path, as in sample.list") };
  });
}

/** @param {string} text @returns {Call | Assignment} */
export function parseAction(text) {
  return whole(text, (reader) => {
    const names = reader.takePath("a path, as in sample.reset()");
    if (reader.skips("=")) {
      return { names, value: reader.takeExpression() };
    }
    reader.take("mark", '"(" or "="', "(");
    const call = { names, args: /** @type {Expression[]} */ ([]), kwargs: /** @type {Call["kwargs"]} */ ([]) };
    while (!reader.is("mark", ")")) {
      if (reader.is("path") && reader.is("mark", "=", 1)) {
        const name = reader.takeName("the name of an argument");
        reader.skips("=");
        call.kwargs.push([name, reader.takeExpression()]);
      } else {
        call.args.push(reader.takeExpression());
      }
      if (!reader.skips(",")) {
        break;
      }
    }
    reader.take("mark", '")"', ")");
    return call;
  });
}
