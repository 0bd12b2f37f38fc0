/**
 * The attributes of an object: each with its type and value, to be read, set and deleted.
 *
 * Plain attributes of small types are read when the object is opened. A property is code of the object's, and a list may
 * be long: those are read when somebody asks.
 *
 * @typedef {object} Attribute as `rpc.describe` tells it
 * @property {string} name
 * @property {"attribute" | "property" | "object" | "item"} kind
 * @property {string | null} type
 * @property {{[name: string]: any}} [schema]
 * @property {boolean} [settable]
 * @property {string} [doc]
 */

import { valueText } from "./channels.mjs";
import { announce, fill, h, prose, say } from "./dom.mjs";
import { EMPTY, field } from "./fields.mjs";
import { problemOf, source } from "./methods.mjs";
import { at, perform } from "./requests.mjs";
import { shortType, widgetOf } from "./schema.mjs";
import { inline, spread } from "./values.mjs";

const SMALL = /^(int|float|bool|str|NoneType|complex|Decimal|UUID|date|time|datetime)\b/;
const LONG = 120; // characters from which a value is shown over several lines

/**
 * @param {string[]} names of the object
 * @param {Attribute[]} attributes
 * @param {import("./live.mjs").Live | null} live
 */
export function attributesSection(names, attributes, live) {
  const rows = attributes.map((attribute) => new Row(names, attribute, live));
  const readAll = h("button", { type: "button", class: "small" }, "Read all");
  readAll.addEventListener("click", async () => {
    const read = await Promise.all(rows.map((row) => row.read(false)));
    announce(`${read.filter(Boolean).length} attributes were read`);
  });
  const isReadable = rows.some(({ isNested }) => !isNested);
  const section = h(
    "section",
    { class: "attributes", "aria-labelledby": "attributes" },
    h("h2", { id: "attributes" }, "Attributes", isReadable && readAll),
    rows.length > 0
      ? h("ul", { class: "card rows" }, ...rows.map(({ element }) => element))
      : h("p", { class: "empty" }, "It has no attributes that a page may read."),
  );
  for (const row of rows) {
    row.begin();
  }
  return section;
}

/** One attribute. */
class Row {
  #names;
  #attribute;
  #channel;
  #live;
  #value = h("code", { class: "value" });
  #more = h("div", { class: "more" });
  /** @type {any} the value as it was read last */
  #known = undefined;
  #isKnown = false;

  /** @param {string[]} names @param {Attribute} attribute @param {import("./live.mjs").Live | null} live */
  constructor(names, attribute, live) {
    this.#names = names;
    this.#attribute = attribute;
    this.#live = live;
    const channel = live?.channels.get(attribute.name);
    this.#channel = channel?.kind === "value" ? channel : undefined;
    this.element = this.#build();
  }

  get isNested() {
    return this.#attribute.kind === "object";
  }

  get #path() {
    return [...this.#names, this.#attribute.name].join(".");
  }

  #build() {
    const { name, kind, type, doc, settable = kind === "item" } = this.#attribute;
    const tags = [
      kind === "property" && h("span", { class: "tag" }, "property"),
      !settable && !this.isNested && h("span", { class: "tag" }, "read only"),
      this.#channel && h("span", { class: "tag live" }, "live"),
    ];
    const label = this.isNested
      ? h("a", { href: `#/${[...this.#names, name].map(encodeURIComponent).join("/")}` }, name)
      : h("span", {}, name);
    const button = (/** @type {string} */ text, /** @type {() => void} */ onclick) =>
      h("button", { type: "button", class: "small", "aria-label": `${text} ${name}`, onclick }, text);
    const buttons = this.isNested
      ? []
      : [
          button("Read", () => void this.read(true)),
          settable && button("Set", () => this.#edit()),
        ];
    return h(
      "li",
      { class: "row", "data-attribute": name },
      h("div", { class: "name" }, h("b", {}, label), h("span", { class: "soft" }, shortType(type)), ...tags),
      this.#value,
      h("div", { class: "buttons" }, ...buttons),
      doc && h("p", { class: "doc soft" }, ...prose(doc)),
      this.#more,
      kind === "property" && source(this.#names, name),
    );
  }

  /** Shows a first value, where that costs nobody anything. */
  begin() {
    const { kind, type, schema = {} } = this.#attribute;
    if (this.isNested) {
      fill(this.#value, h("span", { class: "soft" }, "an object of its own"));
    } else if (this.#channel && this.#live) {
      /** @type {import("./live.mjs").View["paint"]} */
      const paint = ({ value, hasValue }, _, isNew) => {
        if (hasValue && isNew) {
          this.#take(value);
        }
      };
      this.#live.show(this.#channel, { element: this.element, paint });
    } else if (kind !== "property" && (SMALL.test(shortType(type)) || widgetOf(schema).kind === "select")) {
      void this.read(false);
    } else {
      fill(this.#value, h("span", { class: "soft" }, "not read yet"));
    }
  }

  /** @param {any} value */
  #take(value) {
    this.#known = value;
    this.#isKnown = true;
    this.#value.classList.remove("failed");
    say(this.#value, valueText(value));
  }

  /**
   * Reads the value.
   *
   * @param {boolean} isAsked somebody wants to see just this one: it is logged, and shown whole
   */
  async read(isAsked) {
    if (this.isNested) {
      return false;
    }
    const get = () => at(this.#names).$get(this.#attribute.name);
    try {
      const value = isAsked ? (await perform(this.#path, get)).value : await get();
      this.#take(value);
      if (isAsked) {
        const text = spread(value);
        fill(this.#more, text.length > LONG && h("pre", { tabindex: "0", "aria-label": `Value of ${this.#path}` }, text));
        announce(`${this.#path} is ${inline(value, 100)}`);
      }
      return true;
    } catch (error) {
      this.#value.classList.add("failed");
      say(this.#value, "cannot be read");
      fill(this.#more, isAsked && problemOf(error));
      return false;
    }
  }

  /** Opens the form that sets it, with its present value. */
  async #edit() {
    const { name, schema = {}, type } = this.#attribute;
    const input = field({ name, label: `New value of ${name}`, schema: settingSchema(schema, type), type, required: true });
    const answer = h("div", { class: "answer" });
    const close = () => {
      fill(this.#more);
      this.element.querySelector("button")?.focus();
    };
    const buttons = [
      h("button", { type: "submit", class: "main" }, "Set"),
      h("button", { type: "button", onclick: close }, "Cancel"),
      h("button", { type: "button", class: "danger", onclick: () => this.#askToDelete() }, "Delete…"),
    ];
    const form = h(
      "form",
      { "aria-label": `Set ${name}`, novalidate: true },
      input.element,
      h("div", { class: "buttons" }, ...buttons),
      answer,
    );
    form.addEventListener("keydown", (event) => event.key === "Escape" && close());
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      try {
        await this.#set(input.read());
        close();
      } catch (error) {
        if (error instanceof Error && error.name !== "RpcError") {
          input.complain(error.message);
          input.input.focus();
        } else {
          fill(answer, problemOf(error));
        }
      }
    });
    if (!this.#isKnown) {
      await this.read(false);
    }
    if (this.#isKnown) {
      input.show(this.#known);
    }
    fill(this.#more, form);
    input.input.focus();
  }

  /** @param {any} value */
  async #set(value) {
    if (value === EMPTY) {
      throw new Error("this must be filled in");
    }
    const { name } = this.#attribute;
    await perform(`${this.#path} = ${inline(value, 100)}`, () => at(this.#names).$set(name, value));
    announce(`${this.#path} was set`);
    await this.read(false);
  }

  /** What is deleted is gone: it takes two clicks. */
  #askToDelete() {
    const { name } = this.#attribute;
    const keep = () => {
      fill(this.#more);
      this.element.querySelector("button")?.focus();
    };
    const remove = async () => {
      try {
        await perform(`del ${this.#path}`, () => at(this.#names).$delete(name));
        announce(`${this.#path} was deleted`);
        keep();
        await this.read(false);
      } catch (error) {
        fill(this.#more, problemOf(error));
      }
    };
    const question = `Delete ${this.#path}?`;
    const yes = h("button", { type: "button", class: "danger", onclick: remove }, `Delete ${name}`);
    const no = h("button", { type: "button", onclick: keep }, "Keep it");
    fill(this.#more, h("div", { class: "question", role: "group", "aria-label": question }, question, yes, no));
    yes.focus();
  }
}

/** JSON's names of the types that a value may have where nothing is annotated. */
const TYPES = new Map(Object.entries({ int: "integer", float: "number", bool: "boolean", list: "array", dict: "object" }));

/**
 * The schema to set by: where nothing is annotated, what the present value's type says.
 *
 * @param {{[name: string]: any}} schema
 * @param {string | null} type
 */
function settingSchema(schema, type) {
  const known = TYPES.get(type ?? "");
  return Object.keys(schema).length === 0 && known ? { type: known } : schema;
}
