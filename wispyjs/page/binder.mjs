/**
 * Binds the elements of a page, those that are there and those that come, and lets go of those that leave.
 *
 * - What an element shows is written once per frame, however often its value changes.
 * - A binding that fails says so on the console and by the event `wispy-error`, which bubbles from its element.
 * - An element is bound once. `wy-each` takes its element out of the page, and puts a copy per item in its place.
 */
import { ATTRIBUTES } from "./attributes.mjs";
import { parseLoop } from "./expressions.mjs";
import { formatter } from "./formats.mjs";
import { Sources } from "./sources.mjs";

/** More rows than anyone reads, and few enough to make within a second. */
const MAX_ROWS = 1_000;

const NAMES = Object.keys(ATTRIBUTES);
const BOUND = NAMES.map((name) => `[${name}]`).join(",");

/**
 * @typedef {import("./expressions.mjs").Expression} Expression
 * @typedef {{names: string[]} | {constant: any}} Meaning of a name that a loop gives
 * @typedef {Map<string, Meaning>} Scope
 * @typedef {string | number} Key of a dict's item, or the index of a list's
 * @typedef {{key: Key, nodes: Node[]}} Row
 */

/** One binding attribute of one element. */
export class Binding {
  /** @type {(() => void)[]} */
  #stops = [];
  #binder;
  #scope;

  /**
   * @param {Binder} binder
   * @param {Element} element
   * @param {string} attribute
   * @param {Scope} scope
   */
  constructor(binder, element, attribute, scope) {
    this.#binder = binder;
    this.element = element;
    this.attribute = attribute;
    this.text = element.getAttribute(attribute) ?? "";
    this.#scope = scope;
  }

  get page() {
    return this.#binder.page;
  }

  stop() {
    this.#stops.splice(0).forEach((stop) => stop());
  }

  /** Calls `write` with each value that the expression gets. @param {Expression} expression @param {(value: any) => void} write */
  show(expression, write) {
    const format = formatter(expression.formats);
    /** @type {any} */
    let newest;
    const update = () => this.#guard(() => write(format(newest)));
    const stop = this.#watch(expression.operand, (value) => {
      newest = value;
      this.#binder.later(update);
    });
    this.#stops.push(stop, () => this.#binder.forget(update));
  }

  /** What an argument of an action is when it happens. @param {Expression} expression @returns {() => any} */
  reader(expression) {
    const { operand } = expression;
    const format = formatter(expression.formats);
    if (operand.kind === "field") {
      return () => format(this.#readField(operand.id));
    }
    /** @type {any} */
    let newest;
    this.#stops.push(this.#watch(operand, (value) => void (newest = value)));
    return () => {
      if (newest === undefined) {
        throw new Error("its value is not known yet");
      }
      return format(newest);
    };
  }

  /** @param {string} event @param {(event: Event) => void} listener */
  listen(event, listener, target = this.element) {
    target.addEventListener(event, listener);
    this.#stops.push(() => target.removeEventListener(event, listener));
  }

  /** @param {MutationObserverInit} what @param {() => void} changed @param {Node} [target] */
  observe(what, changed, target = this.element) {
    const observer = new MutationObserver(changed);
    observer.observe(target, what);
    this.#stops.push(() => observer.disconnect());
  }

  /** With the next frame, after what is already known. @param {() => void} update */
  later(update) {
    this.#binder.later(() => this.#guard(update));
  }

  /** @param {string[]} names @param {any} value */
  async set(names, value) {
    await this.#binder.sources.set(this.#absolute(names), value);
    this.#binder.showError("");
  }

  /** @param {string[]} names @param {any[]} args @param {Record<string, any>} kwargs */
  async call(names, args, kwargs) {
    const result = await this.#binder.sources.call(this.#absolute(names), args, kwargs);
    this.#binder.showError("");
    return result;
  }

  showErrors() {
    this.#binder.errorPlaces.add(this.element);
    this.#stops.push(() => this.#binder.errorPlaces.delete(this.element));
  }

  /** @param {unknown} error */
  fail(error) {
    this.#binder.report(this, error);
  }

  repeat() {
    const { key, item, names } = parseLoop(this.text);
    const anchor = document.createComment(` ${this.attribute}="${this.text.replaceAll("--", "- -")}" `);
    const template = this.element;
    template.replaceWith(anchor);
    this.#binder.anchors.set(template, anchor);
    const list = this.#absolute(names);
    const loop = new Loop(this.#binder, anchor, template, (of) => {
      const scope = new Map(this.#scope).set(item, { names: [...list, String(of)] });
      return key === undefined ? scope : scope.set(key, { constant: of });
    });
    this.#binder.own(anchor, this);
    this.#stops.push(() => { // what is put back into the page later is bound again
      loop.show([]);
      this.#binder.anchors.delete(template);
      anchor.replaceWith(template);
    });
    const renew = () => { // parameters of a custom-template that it stands in reach it here, too
      this.#binder.release(anchor);
      this.#binder.scan(template);
    };
    const all = { attributes: true, childList: true, characterData: true, subtree: true };
    this.observe(all, renew);
    if (template instanceof HTMLTemplateElement) {
      this.observe(all, renew, template.content);
    }
    let fits = true;
    this.show({ operand: { kind: "path", names }, formats: [] }, (value) => {
      const keys = keysOf(value);
      loop.show(keys.slice(0, MAX_ROWS));
      const fitted = fits;
      fits = keys.length <= MAX_ROWS;
      if (fitted && !fits) { // told once, and not with each update of a list that stays too long
        throw new RangeError(`it has ${keys.length} items; the first ${MAX_ROWS} are shown`);
      }
    });
  }

  /** @param {import("./expressions.mjs").Operand} operand @param {(value: any) => void} known @returns {() => void} */
  #watch(operand, known) {
    if (operand.kind === "constant") {
      known(operand.value);
      return () => {};
    }
    if (operand.kind === "field") {
      const field = this.page.element(operand.id);
      const read = () => known(this.page.isField(field) ? this.page.value(field) : this.page.text(field));
      field.addEventListener("input", read);
      read();
      return () => field.removeEventListener("input", read);
    }
    const meaning = this.#scope.get(operand.names[0] ?? "");
    if (meaning && "constant" in meaning) {
      known(meaning.constant);
      return () => {};
    }
    return this.#binder.sources.watch(this.#absolute(operand.names), { known, failed: (error) => this.fail(error) });
  }

  /** A path from its object on, where it begins with the name of a loop. @param {string[]} names */
  #absolute(names) {
    const meaning = this.#scope.get(names[0] ?? "");
    return meaning && "names" in meaning ? [...meaning.names, ...names.slice(1)] : names;
  }

  /** @param {string} id */
  #readField(id) {
    const field = /** @type {HTMLInputElement} */ (this.page.element(id));
    if (this.page.isField(field) && !field.checkValidity()) {
      field.reportValidity();
      throw new RangeError(`${id}: ${field.validationMessage}`);
    }
    return this.page.isField(field) ? this.page.value(field) : this.page.text(field);
  }

  /** @param {() => void} action */
  #guard(action) {
    try {
      action();
    } catch (error) {
      this.fail(error);
    }
  }
}

/** What a loop goes through. @param {any} value @returns {Key[]} */
function keysOf(value) {
  if (Array.isArray(value)) {
    return [...value.keys()];
  }
  return typeof value === "object" && value !== null ? Object.keys(value) : [];
}

/** The rows of a `wy-each`, before its anchor. A row stays while there is an item of its key. */
class Loop {
  /** @type {Row[]} */
  #rows = [];
  #binder;
  #anchor;
  #template;
  #scopeOf;

  /** @param {Binder} binder @param {Comment} anchor @param {Element} template @param {(key: Key) => Scope} scopeOf */
  constructor(binder, anchor, template, scopeOf) {
    this.#binder = binder;
    this.#anchor = anchor;
    this.#template = template;
    this.#scopeOf = scopeOf;
  }

  /** @param {Key[]} keys */
  show(keys) {
    const same = this.#rows.findIndex(({ key }, index) => key !== keys[index]);
    const kept = same < 0 ? this.#rows.length : same;
    for (const node of this.#rows.splice(kept).flatMap(({ nodes }) => nodes)) {
      // In the place of a `wy-each` of the row's own are its rows, until its anchor is let go.
      this.#binder.release(this.#binder.anchors.get(node) ?? node);
      /** @type {ChildNode} */ (node).remove();
    }
    keys.slice(kept).forEach((key) => this.#add(key));
  }

  /** @param {Key} key */
  #add(key) {
    const template = this.#template;
    const isTemplate = template instanceof HTMLTemplateElement;
    const copy = document.importNode(isTemplate ? template.content : template, true);
    const nodes = isTemplate ? [...copy.childNodes] : [copy];
    if (copy instanceof Element) {
      copy.removeAttribute("wy-each");
    }
    const scope = this.#scopeOf(key);
    nodes.forEach((node) => this.#binder.scopes.set(node, scope));
    this.#anchor.before(...nodes);
    this.#rows.push({ key, nodes });
    nodes.forEach((node) => this.#binder.scan(node));
  }
}

export class Binder {
  /** @type {WeakMap<Node, Scope>} the roots of rows */
  scopes = new WeakMap();
  /** @type {WeakMap<Node, Comment>} what stands in the page for the element of a `wy-each` */
  anchors = new WeakMap();
  /** @type {Set<Element>} */
  errorPlaces = new Set();
  /** @type {Map<Node, Binding[]>} */
  #bound = new Map();
  /** @type {Set<() => void>} what the next frame writes */
  #due = new Set();
  /** @type {Sources | null} */
  #sources = null;

  /** @param {import("../page.mjs").Page} page */
  constructor(page) {
    this.page = page;
  }

  get sources() {
    if (!this.#sources) {
      if (typeof globalThis.wispyjs?.createRpc !== "function") { // an element may have this id
        throw new Error("rpc.js is not on this page: it must be loaded beside page.js");
      }
      this.#sources = new Sources(globalThis.wispyjs.rpc);
    }
    return this.#sources;
  }

  start() {
    this.scan(document);
    new MutationObserver((changes) => this.#changed(changes)).observe(document, {
      subtree: true,
      childList: true,
      attributes: true,
      attributeFilter: NAMES,
    });
  }

  /** @param {() => void} update */
  later(update) {
    if (this.#due.size === 0) {
      requestAnimationFrame(() => this.#flush());
    }
    this.#due.add(update);
  }

  /** @param {() => void} update */
  forget(update) {
    this.#due.delete(update);
  }

  #flush() {
    const due = [...this.#due];
    this.#due.clear();
    due.forEach((update) => update());
  }

  /** Binds what is not bound yet. @param {Node} root */
  scan(root) {
    if (root instanceof Element && root.matches(BOUND)) {
      this.#bind(root);
    }
    if (root instanceof Element || root instanceof Document) {
      for (const element of root.querySelectorAll(BOUND)) {
        this.#bind(element);
      }
    }
  }

  /** @param {Element} element */
  #bind(element) {
    if (this.#bound.has(element) || !element.isConnected || element.closest("custom-template")) {
      return; // also what a `wy-each` has just taken out
    }
    const names = element.hasAttribute("wy-each") ? ["wy-each"] : NAMES.filter((name) => element.hasAttribute(name));
    const scope = this.#scopeAt(element);
    for (const name of names) {
      const binding = new Binding(this, element, name, scope);
      if (name !== "wy-each") {
        this.own(element, binding);
      }
      try {
        ATTRIBUTES[name]?.(binding);
      } catch (error) {
        this.report(binding, error);
      }
    }
  }

  /** @param {Node} node @param {Binding} binding which ends with it */
  own(node, binding) {
    const bindings = this.#bound.get(node) ?? [];
    this.#bound.set(node, [...bindings, binding]);
  }

  /** @param {Node} element @returns {Scope} */
  #scopeAt(element) {
    /** @type {Node | null} */
    let node = element;
    while (node) {
      const scope = this.scopes.get(node);
      if (scope) {
        return scope;
      }
      node = node.parentNode;
    }
    return new Map();
  }

  /** Lets go of all that is bound at or below a node. @param {Node} root */
  release(root) {
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_COMMENT);
    const nodes = [root];
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      nodes.push(node);
    }
    nodes.forEach((node) => this.#letGo(node)); // which may change the tree
  }

  /** @param {Node} node */
  #letGo(node) {
    const bindings = this.#bound.get(node);
    this.#bound.delete(node);
    bindings?.forEach((binding) => binding.stop());
  }

  /** @param {MutationRecord[]} changes */
  #changed(changes) {
    for (const { type, target, addedNodes, removedNodes } of changes) {
      if (type === "attributes") {
        this.#letGo(target);
        if (target instanceof Element && target.matches(BOUND)) {
          this.#bind(target);
        }
      }
      removedNodes.forEach((node) => node.isConnected || this.release(node));
      addedNodes.forEach((node) => this.scan(node));
    }
  }

  /** @param {Binding} binding @param {unknown} error */
  report({ element, attribute, text }, error) {
    const message = error instanceof Error ? error.message : String(error);
    const name = element.localName + (element.id && `#${element.id}`);
    console.error(`wispy: ${attribute}="${text}" of <${name}>: ${message}`, error);
    const detail = { error, attribute, expression: text };
    const place = element.isConnected ? element : document;
    place.dispatchEvent(new CustomEvent("wispy-error", { bubbles: true, detail }));
    this.showError(message);
  }

  /** @param {string} message */
  showError(message) {
    this.errorPlaces.forEach((place) => void (place.textContent = message));
  }
}
