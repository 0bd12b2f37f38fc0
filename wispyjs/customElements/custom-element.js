/**
 * `<custom-template>` defines an element of the page's own from parameterised HTML.
 *
 *     <custom-template type="labelled-field" name="a field" value="5">
 *         <label>$name <input type="number" value="$value"></label> $innerHTML
 *     </custom-template>
 *     <labelled-field name="speed">in <b>m/s</b></labelled-field>
 *
 * The rules that this file keeps (docs/reference/html-tools.md shows them):
 *
 * - `$name` is the attribute `name` of the use, else the template's own, and follows it when it changes. `${name}`
 *   is the same beside other letters, and `$$` is a dollar sign. A name that nothing gives a value stays as it is written;
 *   an attribute that is such a name alone is left out.
 * - `$innerHTML` is what the use contains, and `$#a` the element with `subID="a"` in it: the first place gets the
 *   nodes themselves, with their listeners, further ones get copies without ids.
 * - A value is text. It becomes markup nowhere, code nowhere: not in `on...` attributes, `srcdoc`, scripts and style
 *   sheets, not as a `javascript:` address, and in `style` it stays within its declaration. What is refused is told on
 *   the console.
 * - A rendered use keeps a copy of what it was given in a `<template>` at its end, so that a copy of it renders anew.
 */
(() => {
  "use strict";

  if (typeof customElements === "undefined" || customElements.get("custom-template")) {
    return; // no page, or loaded twice
  }

  /**
   * @typedef {{name: string, written: string}} Parameter `written` stands where nothing gives a value
   * @typedef {string | Parameter} Piece
   * @typedef {{path: number[]} & (
   *   {kind: "text", piece: Parameter} | {kind: "attribute", attribute: string, pieces: Piece[]} |
   *   {kind: "content"} | {kind: "slot", subID: string})} Place where a template has something to fill in
   * @typedef {Map<string, string>} Defaults
   */

  /** A step of a path into the content of a `<template>`. */
  const INTO_CONTENT = -1;
  const KEPT = "data-custom-template-content";
  const PLACEHOLDER = /\$(?:(\$)|\{(#?[A-Za-z_][\w-]*)\}|(#?[A-Za-z_][\w-]*))/g;
  const CONTENT = "innerHTML";

  const NAMELESS_FIELD =
    "input:not([type=hidden], [type=submit], [type=button], [type=reset], [aria-label], [aria-labelledby], [title], [placeholder], [id], label *)";
  /** Attributes that a browser follows or loads; the last four write others, in SVG's animations. */
  const ADDRESSES = new Set([
    "action", "background", "cite", "data", "formaction", "href", "poster", "src", "xlink:href", "from", "to", "by", "values",
  ]);
  const HARMLESS_ADDRESS = /^((https?|wss?|ftp|mailto|tel|sms|blob):|data:(image\/(?!svg)|audio\/|video\/|text\/plain\b|[,;]))/;
  const BEYOND_A_DECLARATION = /[;{}\\]|\/\*|url\s*\(|image(-set)?\s*\(/i;

  /** @param {string} type @param {string} what */
  const complain = (type, what) => console.error(`wispy: <custom-template type="${type}">: ${what}`);

  /** Whether an address runs as code, or shows markup, in the name of this page. @param {string} address */
  function isCode(address) {
    const url = URL.canParse(address, document.baseURI) ? new URL(address, document.baseURI).href : "https:";
    return !HARMLESS_ADDRESS.test(url) && !url.startsWith(document.baseURI.split(":", 1) + ":");
  }

  /**
   * Whether a value would be more than text in this attribute.
   *
   * @param {string} attribute @param {string} whole what the attribute would be @param {string[]} values put into it
   */
  function isUnsafe(attribute, whole, values) {
    if (ADDRESSES.has(attribute)) {
      return whole.split(attribute === "values" ? ";" : "\0").some(isCode);
    }
    return attribute === "style" && values.some((value) => BEYOND_A_DECLARATION.test(value));
  }

  /** Runs it once the parser has passed the element's end. @param {HTMLElement} element @param {() => void} then */
  function whenParsed(element, then) {
    /** @type {Node | null} */
    let node = document.readyState === "loading" ? element : null;
    while (node && !node.nextSibling) {
      node = node.parentNode;
      if (node === null) {
        document.addEventListener("DOMContentLoaded", then, { once: true });
        return;
      }
    }
    then();
  }

  // -------------------------------------------------------------------------------------------- templates

  /** A template's content, and where in it something is to be filled in. */
  class Definition {
    /** @type {Map<string, Definition>} by the name of the element that it defines */
    static all = new Map();

    /** @type {Place[]} */
    places = [];
    /** @type {Set<string>} elements in it, which may be uses of templates */
    elements = new Set();

    /** @param {string} type @param {DocumentFragment} content @param {Defaults} defaults */
    constructor(type, content, defaults) {
      this.type = type;
      // A template's content belongs to a document of its own, in which nothing is loaded and no element is upgraded.
      this.content = document.createElement("template").content;
      this.content.append(content);
      this.defaults = defaults;
      this.markup = Definition.markupOf(this.content, defaults);
      this.#visitChildren(this.content, []);
    }

    /** To tell another template of the same name. @param {DocumentFragment} content @param {Defaults} defaults */
    static markupOf(content, defaults) {
      const holder = document.createElement("template");
      holder.content.append(content.cloneNode(true));
      return JSON.stringify([[...defaults], holder.innerHTML]);
    }

    /** The attributes that a use is watched for. */
    get parameters() {
      const pieces = this.places.flatMap((place) =>
        place.kind === "text" ? [place.piece] : place.kind === "attribute" ? place.pieces : [],
      );
      return [...new Set(pieces.flatMap((piece) => (typeof piece === "string" ? [] : [piece.name])))];
    }

    /** Whether it would be rendered within itself without an end. */
    get isEndless() {
      /** @type {Set<string>} */
      const seen = new Set();
      const waiting = [...this.elements];
      for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
        if (name === this.type) {
          return true;
        }
        if (!seen.has(name)) {
          seen.add(name);
          waiting.push(...(Definition.all.get(name)?.elements ?? []));
        }
      }
      return false;
    }

    /** @param {Node} parent @param {number[]} path */
    #visitChildren(parent, path) {
      for (let at = 0; at < parent.childNodes.length; at += 1) {
        const node = /** @type {Node} */ (parent.childNodes[at]);
        if (node instanceof Text) {
          at += this.#splitText(node, path, at);
        } else if (node instanceof Element) {
          this.#visitElement(node, [...path, at]);
        }
      }
    }

    /** @param {Element} element @param {number[]} path */
    #visitElement(element, path) {
      const { localName } = element;
      if (localName === "custom-template") {
        return; // its parameters are its own
      }
      this.elements.add(localName);
      this.#nameField(element);
      for (const { name, value } of [...element.attributes]) {
        this.#visitAttribute(element, name, value, path);
      }
      if (localName !== "script" && localName !== "style") {
        this.#visitChildren(element, path);
      } else if (this.#split(element.textContent ?? "").some((piece) => typeof piece !== "string")) {
        complain(this.type, `no parameter is put into a <${localName}> element`);
      }
      if (element instanceof HTMLTemplateElement) {
        this.#visitChildren(element.content, [...path, INTO_CONTENT]);
      }
    }

    /** A field that nothing names is named after the parameter that is its value, for those who cannot see. @param {Element} field */
    #nameField(field) {
      const [, parameter] = /^\$\{?([A-Za-z_][\w-]*)\}?$/.exec(field.getAttribute("value") ?? "") ?? [];
      if (parameter && field.matches(NAMELESS_FIELD)) {
        field.setAttribute("aria-label", parameter);
      }
    }

    /** @param {Element} element @param {string} attribute @param {string} value @param {number[]} path */
    #visitAttribute(element, attribute, value, path) {
      const pieces = this.#split(value);
      if (pieces.every((piece) => typeof piece === "string")) {
        element.setAttribute(attribute, pieces.join(""));
      } else if (/^on|^srcdoc$/i.test(attribute) || element.localName === "script") {
        element.removeAttribute(attribute);
        complain(this.type, `no parameter is put into ${attribute}="${value}" of <${element.localName}>, which is code`);
      } else {
        this.places.push({ kind: "attribute", path, attribute, pieces });
      }
    }

    /**
     * Gives each placeholder of a text a node of its own; returns how many nodes the text has become, less one.
     *
     * @param {Text} text @param {number[]} path @param {number} at
     */
    #splitText(text, path, at) {
      const nodes = this.#split(text.data).map((piece, index) => {
        if (typeof piece !== "string") {
          this.places.push(this.#placeOf(piece, [...path, at + index]));
        }
        return document.createTextNode(typeof piece === "string" ? piece : piece.written);
      });
      text.replaceWith(...nodes);
      return nodes.length - 1;
    }

    /** @param {Parameter} piece @param {number[]} path @returns {Place} */
    #placeOf(piece, path) {
      if (piece.name.startsWith("#")) {
        return { kind: "slot", path, subID: piece.name.slice(1) };
      }
      return piece.name === CONTENT ? { kind: "content", path } : { kind: "text", path, piece };
    }

    /** @param {string} text @returns {Piece[]} */
    #split(text) {
      /** @type {Piece[]} */
      const pieces = [];
      let end = 0;
      for (const match of text.matchAll(PLACEHOLDER)) {
        const [written, dollar, braced, bare] = match;
        pieces.push(text.slice(end, match.index));
        end = match.index + written.length;
        if (dollar !== undefined) {
          pieces.push("$");
          continue;
        }
        const name = braced ?? this.#nameAtStart(/** @type {string} */ (bare));
        const used = braced === undefined ? `$${name}` : written;
        end -= written.length - used.length;
        const isParameter = !name.startsWith("#") && name !== CONTENT;
        pieces.push({ name: isParameter ? name.toLowerCase() : name, written: used });
      }
      pieces.push(text.slice(end));
      const filled = pieces.filter((piece) => piece !== "");
      return filled.length ? filled : [""];
    }

    /** `$value-px` is `value` and then text, unless the template has `value-px`. @param {string} written @returns {string} */
    #nameAtStart(written) {
      if (written.startsWith("#") || this.defaults.has(written.toLowerCase())) {
        return written;
      }
      const shorter = written.lastIndexOf("-");
      return shorter < 0 ? written : this.#nameAtStart(written.slice(0, shorter));
    }
  }

  // --------------------------------------------------------------------------------------------- uses

  /** A use that is filled: it follows the use's attributes. */
  class Rendering {
    #definition;
    #host;
    /** @type {{place: Place, node: Node, attr: Attr | null}[]} */
    #places;
    /** What the use contained, where an attribute shows it. */
    #contentText;

    /** @param {Definition} definition @param {HTMLElement} host */
    constructor(definition, host) {
      this.#definition = definition;
      this.#host = host;
      const given = takeContent(host);
      const kept = document.createElement("template");
      kept.setAttribute(KEPT, "");
      kept.content.append(kept.content.ownerDocument.importNode(given, true));
      this.#contentText = given.textContent?.trim() ?? "";
      const body = /** @type {DocumentFragment} */ (definition.content.cloneNode(true));
      this.#places = definition.places.map((place) => {
        const node = nodeAt(body, place.path);
        const attr = place.kind === "attribute" ? /** @type {Element} */ (node).getAttributeNode(place.attribute) : null;
        return { place, node, attr };
      });
      this.update();
      document.adoptNode(body); // with its values: an image is asked for once
      this.#fillSlots(given);
      host.replaceChildren(body, kept);
    }

    /** Writes the values of the parameters. */
    update() {
      for (const { place, node, attr } of this.#places) {
        if (place.kind === "text") {
          const value = this.#valueOf(place.piece) ?? place.piece.written;
          if (node.nodeValue !== value) {
            node.nodeValue = value;
          }
        } else if (place.kind === "attribute") {
          this.#writeAttribute(/** @type {Element} */ (node), /** @type {Attr} */ (attr), place.pieces);
        }
      }
    }

    /** @param {Parameter} parameter @returns {string | undefined} */
    #valueOf({ name }) {
      return name === CONTENT ? this.#contentText : this.#host.getAttribute(name) ?? this.#definition.defaults.get(name);
    }

    /** @param {Element} element @param {Attr} attr @param {Piece[]} pieces */
    #writeAttribute(element, attr, pieces) {
      const [only] = pieces;
      if (pieces.length === 1 && typeof only === "object" && this.#valueOf(only) === undefined) {
        element.removeAttribute(attr.name);
        return;
      }
      const texts = pieces.map((piece) => (typeof piece === "string" ? piece : this.#valueOf(piece) ?? piece.written));
      const values = texts.filter((_text, index) => typeof pieces[index] !== "string");
      const whole = texts.join("");
      if (isUnsafe(attr.name, whole, values)) {
        element.removeAttribute(attr.name);
        complain(this.#definition.type, `${attr.name}="${whole}" is refused: a value must not become code or style`);
        return;
      }
      if (attr.value !== whole) {
        attr.value = whole;
      }
      if (attr.ownerElement !== element) {
        element.setAttributeNode(attr);
      }
    }

    /** @param {DocumentFragment} given what the use contains; what no slot takes is `$innerHTML` */
    #fillSlots(given) {
      const wanted = new Set(this.#places.flatMap(({ place }) => (place.kind === "slot" ? [place.subID] : [])));
      /** @type {Map<string, DocumentFragment>} */
      const contents = new Map();
      for (const element of given.querySelectorAll("[subID]")) {
        const subID = /** @type {string} */ (element.getAttribute("subID"));
        if (wanted.has(subID) && !contents.has(subID) && !isWithinAnotherUse(element)) {
          const fragment = document.createDocumentFragment();
          fragment.append(element);
          contents.set(subID, fragment);
        }
      }
      contents.set("", given);
      const hasContent = this.#places.some(({ place }) => place.kind === "content");
      if (!hasContent && given.textContent?.trim()) {
        console.warn(`wispy: <${this.#definition.type}> contains what its template shows nowhere (no $innerHTML):`, this.#host);
      }
      /** @type {Map<string, DocumentFragment>} */
      const copies = new Map();
      for (const { place, node } of this.#places) {
        if (place.kind === "slot" || place.kind === "content") {
          const key = place.kind === "slot" ? place.subID : "";
          const first = contents.get(key);
          contents.delete(key);
          if (first) {
            copies.set(key, copyOf(first));
          }
          const nodes = first ?? (copies.has(key) ? copyOf(/** @type {DocumentFragment} */ (copies.get(key))) : "");
          /** @type {Text} */ (node).replaceWith(nodes);
        }
      }
    }
  }

  /** What a use contains; that of a copy of a rendered use is what the original was given. @param {HTMLElement} host */
  function takeContent(host) {
    const kept = [...host.children].find((child) => child.hasAttribute(KEPT));
    const content = document.createDocumentFragment();
    if (kept instanceof HTMLTemplateElement) {
      content.append(document.importNode(kept.content, true));
    } else {
      content.append(...host.childNodes);
    }
    return content;
  }

  /** @param {DocumentFragment} fragment */
  function copyOf(fragment) {
    const copy = /** @type {DocumentFragment} */ (fragment.cloneNode(true));
    copy.querySelectorAll("[id]").forEach((element) => element.removeAttribute("id"));
    return copy;
  }

  /** @param {Element} element in the content of a use */
  function isWithinAnotherUse(element) {
    let parent = element.parentElement;
    while (parent && !Definition.all.has(parent.localName)) {
      parent = parent.parentElement;
    }
    return parent !== null;
  }

  /** @param {Node} root @param {number[]} path @returns {Node} */
  function nodeAt(root, path) {
    return path.reduce((node, step) => {
      const next = step === INTO_CONTENT ? /** @type {HTMLTemplateElement} */ (node).content : node.childNodes[step];
      return /** @type {Node} */ (next);
    }, root);
  }

  /** The class of the element that a template defines. @param {Definition} definition */
  function classOf(definition) {
    return class extends HTMLElement {
      static observedAttributes = definition.parameters;

      /** @type {Rendering | null} */
      #rendering = null;

      connectedCallback() {
        whenParsed(this, () => {
          if (this.#rendering || !this.isConnected) {
            return; // it was moved, or has gone
          }
          if (definition.isEndless) {
            complain(definition.type, "it uses itself, directly or by another template, and would never end");
            return;
          }
          this.#rendering = new Rendering(definition, this);
        });
      }

      attributeChangedCallback() {
        this.#rendering?.update();
      }
    };
  }

  class CustomTemplate extends HTMLElement {
    #isDefined = false;

    /**
     * Defines an element; of two definitions of one name the first stays.
     *
     * @param {string} type the element's name, with a hyphen
     * @param {DocumentFragment} content which then belongs to the template
     * @param {Record<string, string>} [defaults] of the parameters
     */
    static define(type, content, defaults = {}) {
      const name = type.trim().toLowerCase();
      const values = new Map(Object.entries(defaults).map(([key, value]) => [key.toLowerCase(), String(value)]));
      const former = Definition.all.get(name);
      if (former) {
        if (former.markup !== Definition.markupOf(content, values)) {
          console.warn(`wispy: <custom-template type="${name}"> is defined twice, differently: the first one stays`);
        }
        return;
      }
      const definition = new Definition(name, content, values);
      Definition.all.set(name, definition); // before the page's uses are rendered, which is at once
      try {
        customElements.define(name, classOf(definition));
      } catch (error) {
        Definition.all.delete(name);
        const hint = 'the type must be the name of a new element, in letters, with a hyphen, as in type="my-element"';
        complain(name, `${hint} (${error instanceof Error ? error.message : error})`);
      }
    }

    connectedCallback() {
      this.hidden = true;
      whenParsed(this, () => {
        if (this.#isDefined || !this.isConnected) {
          return;
        }
        this.#isDefined = true;
        const own = [...this.attributes].filter(({ name }) => name !== "type" && name !== "hidden");
        const defaults = Object.fromEntries(own.map(({ name, value }) => [name, value]));
        CustomTemplate.define(this.getAttribute("type") ?? "", this.#takeContent(), defaults);
      });
    }

    /** Its own children, or those of a `<template>` that is its only element, in which nothing is loaded before its time. */
    #takeContent() {
      const only = this.children.length === 1 ? this.firstElementChild : null;
      const { content } = document.createElement("template");
      content.append(...(only instanceof HTMLTemplateElement ? only.content : this).childNodes);
      this.replaceChildren();
      return content;
    }
  }

  customElements.define("custom-template", CustomTemplate);
})();
