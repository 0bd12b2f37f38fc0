/** The table of binding attributes: what each does with its element. docs/reference/page-bindings.md describes them. */
import { parseAction, parseExpression, parsePairs } from "./expressions.mjs";
import { formatter, isTrue, textOf } from "./formats.mjs";

/**
 * What a binding is given, and made of.
 *
 * @typedef {import("./binder.mjs").Binding} Binding
 * @typedef {import("./expressions.mjs").Expression} Expression
 */

/** Fields whose every move counts; in the others a half-written text is not sent. */
const AT_ONCE = new Set(["range", "color", "checkbox", "radio", "select-one", "select-multiple"]);

/** @param {Binding} binding */
function bindText(binding) {
  const { element } = binding;
  binding.show(parseExpression(binding.text), (value) => {
    const text = textOf(value);
    if (element.textContent !== text) {
      element.textContent = text;
    }
  });
}

/** @param {Binding} binding @param {boolean} wanted */
function bindHidden(binding, wanted) {
  binding.show(parseExpression(binding.text), (value) => {
    binding.page.show(binding.element, isTrue(value) !== wanted);
  });
}

/** @param {Binding} binding */
function bindClass(binding) {
  for (const [name, expression] of parsePairs(binding.text)) {
    binding.show(expression, (value) => binding.element.classList.toggle(name, isTrue(value)));
  }
}

/** @param {Binding} binding */
function bindAttributes(binding) {
  for (const [name, expression] of parsePairs(binding.text)) {
    if (Object.hasOwn(ATTRIBUTES, name)) {
      throw new TypeError(`${name} is no attribute for a value: it would become a binding`);
    }
    const isState = /^aria-/i.test(name); // these say true and false in words
    binding.show(expression, (value) => {
      const shown = value === true && !isState ? "" : value === false && !isState ? null : value;
      binding.page.attribute(binding.element, name, shown === null || shown === undefined ? null : textOf(shown));
    });
  }
}

/** A field and a value that follow each other: the user's hand first, then what the server says. */
class Field {
  /** What the server said last. @type {any} */
  #newest = undefined;
  /** Changed by the user, and not sent. */
  #isDirty = false;
  #isSending = false;
  /** Changed again while a change was on its way: only the newest follows. */
  #isBehind = false;
  #binding;
  #names;
  #format;

  /** @param {Binding} binding @param {Expression} expression */
  constructor(binding, { operand, formats }) {
    if (operand.kind !== "path") {
      throw new TypeError("a field needs a path, as in sample.a");
    }
    this.#binding = binding;
    this.#names = operand.names;
    this.#format = formatter(formats);
    const element = this.#element;
    binding.show({ operand, formats: [] }, (value) => {
      this.#newest = value;
      this.#settle();
    });
    binding.listen("input", () => {
      this.#isDirty = true;
      if (AT_ONCE.has(element.type)) {
        this.#send();
      }
    });
    binding.listen("change", () => {
      if (!AT_ONCE.has(element.type)) {
        this.#send();
      }
    });
    binding.listen("focusout", () => {
      this.#isDirty = false; // what was changed back by hand is no change, and is told by no other event
      binding.later(() => this.#settle());
    });
    binding.listen("pointerup", () => binding.later(() => this.#settle()));
    if (element.localName === "select") { // its options may come after its value
      binding.observe({ childList: true, subtree: true }, () => binding.later(() => this.#settle()));
    }
  }

  get #element() {
    return /** @type {HTMLInputElement} */ (this.#binding.element);
  }

  /** Shows what the server says, unless the user is at it. */
  #settle() {
    const isHeld = this.#element.type === "range" && this.#element.matches(":active");
    if (!this.#isDirty && !this.#isSending && !isHeld && this.#newest !== undefined) {
      this.#binding.page.value(this.#element, this.#format(this.#newest));
    }
  }

  async #send() {
    if (this.#isSending) {
      this.#isBehind = true;
      return;
    }
    this.#isSending = true;
    do {
      this.#isBehind = this.#isDirty = false;
      try {
        await this.#binding.set(this.#names, this.#read());
      } catch (error) {
        this.#binding.fail(error); // what the user has chosen meanwhile may be fine
      }
    } while (this.#isBehind);
    this.#isSending = false;
    this.#binding.later(() => this.#settle());
  }

  /** What the field says, of the type that the value has. */
  #read() {
    const element = this.#element;
    if (!element.checkValidity()) {
      throw new RangeError(element.validationMessage);
    }
    const value = this.#binding.page.value(element);
    if (typeof value !== "string" || typeof this.#newest === "string") {
      return value;
    }
    if (typeof this.#newest === "number" || typeof this.#newest === "bigint") {
      if (!value.trim() || Number.isNaN(Number(value))) {
        throw new TypeError(`${JSON.stringify(value)} is no number`);
      }
      return /^\s*-?\d+\s*$/.test(value) ? BigInt(value) : Number(value); // an integer keeps all of its digits
    }
    return typeof this.#newest === "boolean" ? value === "true" : value;
  }
}

/** @param {Binding} binding */
function bindChecked(binding) {
  const { element } = binding;
  if (!(element instanceof HTMLInputElement) || element.type !== "checkbox") {
    throw new TypeError('it is for <input type="checkbox">; other fields take wy-value');
  }
  new Field(binding, parseExpression(binding.text));
}

/** @param {Binding} binding */
function bindValue(binding) {
  if (!binding.page.isField(binding.element)) {
    throw new TypeError("it is for fields of a form; other elements take wy-text");
  }
  new Field(binding, parseExpression(binding.text));
}

/** @param {Binding} binding @param {"click" | "submit"} event */
function bindAction(binding, event) {
  const { element } = binding;
  const action = parseAction(binding.text);
  const values = "value" in action ? [action.value] : [...action.args, ...action.kwargs.map(([, value]) => value)];
  const readers = new Map(values.map((value) => [value, binding.reader(value)]));
  const read = (/** @type {Expression} */ value) => /** @type {() => any} */ (readers.get(value))();
  const result = element.getAttribute("wy-result");
  const showResult = result === null ? () => {} : resultWriter(binding, parseExpression(result));
  let running = 0;

  async function run() {
    running += 1;
    element.setAttribute("aria-busy", "true");
    try {
      if ("value" in action) {
        await binding.set(action.names, read(action.value));
      } else {
        const kwargs = Object.fromEntries(action.kwargs.map(([name, value]) => [name, read(value)]));
        showResult(await binding.call(action.names, action.args.map(read), kwargs));
      }
    } catch (error) {
      binding.fail(error);
    }
    running -= 1;
    if (running === 0) {
      element.removeAttribute("aria-busy");
    }
  }

  binding.listen(event, (happened) => {
    if (event === "submit" || element.localName === "a" || isReload(element)) {
      happened.preventDefault();
    }
    run();
  });
}

/** Whether a click on it would also submit a form that goes nowhere, which only loads the page again. @param {Element} element */
function isReload(element) {
  const { type, form } = /** @type {HTMLButtonElement} */ (element);
  return type === "submit" && Boolean(form) && !form?.hasAttribute("action") && !form?.hasAttribute("wy-submit");
}

/** @param {Binding} binding @param {Expression} expression */
function resultWriter(binding, { operand, formats }) {
  if (operand.kind !== "field") {
    throw new TypeError('wy-result names an element by its id, as in wy-result="#sum"');
  }
  const format = formatter(formats);
  return (/** @type {any} */ value) => {
    const target = binding.page.element(operand.id);
    const shown = format(value);
    binding.page.isField(target) ? binding.page.value(target, shown) : binding.page.text(target, textOf(shown));
  };
}

/**
 * By name: what binds it. `wy-each` is the binder's own, since it makes elements.
 *
 * @type {Record<string, (binding: Binding) => void>}
 */
export const ATTRIBUTES = {
  "wy-text": bindText,
  "wy-value": bindValue,
  "wy-checked": bindChecked,
  "wy-class": bindClass,
  "wy-show": (binding) => bindHidden(binding, false),
  "wy-hide": (binding) => bindHidden(binding, true),
  "wy-attr": bindAttributes,
  "wy-each": (binding) => binding.repeat(),
  "wy-click": (binding) => bindAction(binding, "click"),
  "wy-submit": (binding) => bindAction(binding, "submit"),
  "wy-result": () => {}, // the action beside it reads it
  "wy-errors": (binding) => binding.showErrors(),
};
