/**
 * Reading, changing and binding elements of the page: the global `page`.
 *
 *     page.value("speed");  page.text("answer", 42);  page.show("details", false);
 *     <output wy-text="sample.a | fixed 2"></output>  <button wy-click="sample.reset()">Reset</button>
 *
 * Each function takes an element or its id. What is written is text, never markup, and no attribute becomes code. The binding
 * attributes (docs/reference/page-bindings.md) are the work of the modules in `page/`, which this script loads.
 */
(() => {
  "use strict";

  if (typeof document === "undefined" || typeof globalThis.page?.element === "function") {
    return; // no page, or loaded twice
  }

  /**
   * @typedef {import("./page.mjs").Field} Field
   * @typedef {string | Element} Target an element or its id
   */

  // As in custom-element.js: each of these scripts stands by itself.
  /** Attributes that a browser follows or loads; the last four write others, in SVG's animations. */
  const ADDRESSES = new Set([
    "action", "background", "cite", "data", "formaction", "href", "poster", "src", "xlink:href", "from", "to", "by", "values",
  ]);
  const HARMLESS_ADDRESS = /^((https?|wss?|ftp|mailto|tel|sms|blob):|data:(image\/(?!svg)|audio\/|video\/|text\/plain\b|[,;]))/;

  /** `hidden` alone hides nothing within an SVG, and nothing with a `display` of the page's own. */
  const HIDDEN = `
    [wy-show][hidden], [wy-hide][hidden] { display: none !important; }
    svg[hidden], svg [hidden] { display: none; }`;

  /** @param {Target} target */
  function element(target) {
    const found = typeof target === "string" ? document.getElementById(target.replace(/^#/, "")) : target;
    if (!(found instanceof Element)) {
      throw new RangeError(`there is no element with id="${target}" on this page`);
    }
    return found;
  }

  /** @param {Element} target @returns {target is Field} */
  const isField = (target) =>
    target instanceof HTMLInputElement || target instanceof HTMLSelectElement ||
    target instanceof HTMLTextAreaElement || target instanceof HTMLOutputElement;

  /** @param {Target} target @returns {Field} */
  function field(target) {
    const found = element(target);
    if (!isField(found)) {
      throw new TypeError(`<${found.localName} id="${found.id}"> is no field of a form`);
    }
    return found;
  }

  /** @param {HTMLInputElement} input */
  function readInput(input) {
    switch (input.type) {
      case "checkbox":
        return input.checked;
      case "number":
      case "range":
        return Number.isNaN(input.valueAsNumber) ? null : wholeNumber(input.value) ?? input.valueAsNumber;
      case "radio":
        return radios(input).find(({ checked }) => checked)?.value ?? null;
      case "time":
      case "datetime-local":
        return /(^|T)\d\d:\d\d$/.test(input.value) ? `${input.value}:00` : input.value; // as Python reads it
      default:
        return input.value;
    }
  }

  /** An integer of which a number would not keep all digits. @param {string} text */
  function wholeNumber(text) {
    return /^-?\d+$/.test(text) && !Number.isSafeInteger(Number(text)) ? BigInt(text) : undefined;
  }

  /** @param {HTMLInputElement} input */
  function radios(input) {
    const root = /** @type {ParentNode} */ (input.getRootNode()); // with form="..." it stands outside of its form
    const all = /** @type {HTMLInputElement[]} */ ([...root.querySelectorAll("input[type=radio]")]);
    return input.name ? all.filter(({ name, form }) => name === input.name && form === input.form) : [input];
  }

  /** @param {Field} target @returns {any} */
  function read(target) {
    if (target instanceof HTMLInputElement) {
      return readInput(target);
    }
    if (target instanceof HTMLSelectElement && target.multiple) {
      return [...target.selectedOptions].map(({ value }) => value);
    }
    return target.value;
  }

  /** @param {Field} target @param {any} value */
  function write(target, value) {
    const whole = value === null || value === undefined ? "" : String(value);
    // A field for times takes milliseconds, and nothing that has Python's microseconds.
    const text = /^(time|datetime-local)$/.test(target.type) ? whole.replace(/(:\d\d\.\d{3})\d+$/, "$1") : whole;
    if (target instanceof HTMLInputElement && target.type === "checkbox") {
      target.checked = Boolean(value);
    } else if (target instanceof HTMLInputElement && target.type === "radio") {
      radios(target).forEach((radio) => void (radio.checked = radio.value === text));
    } else if (target instanceof HTMLSelectElement && target.multiple) {
      const chosen = new Set([value ?? []].flat().map(String));
      [...target.options].forEach((option) => void (option.selected = chosen.has(option.value)));
    } else if (target.value !== text) { // the cursor stays where nothing changes
      target.value = text;
    }
  }

  /** @param {string} name @param {string} value */
  function isUnsafe(name, value) {
    if (/^on|^(srcdoc|style|is)$/i.test(name)) {
      return true;
    }
    return ADDRESSES.has(name.toLowerCase()) && value.split(/^values$/i.test(name) ? ";" : "\0").some(isCode);
  }

  /** Whether an address runs as code, or shows markup, in the name of this page. @param {string} address */
  function isCode(address) {
    const url = URL.canParse(address, document.baseURI) ? new URL(address, document.baseURI).href : "https:";
    return !HARMLESS_ADDRESS.test(url) && !url.startsWith(`${document.baseURI.split(":", 1)}:`);
  }

  const sheet = new CSSStyleSheet();
  sheet.replaceSync(HIDDEN);
  document.adoptedStyleSheets.push(sheet);

  const bindings = import("./page/binder.mjs").then(async ({ Binder }) => {
    if (document.readyState === "loading") {
      await new Promise((ready) => document.addEventListener("DOMContentLoaded", ready, { once: true }));
    }
    new Binder(page).start();
  });
  bindings.catch((error) => console.error("wispy: the binding attributes of this page do not work:", error));

  /** @type {import("./page.mjs").Page} */
  const page = {
    element,
    isField,

    text(target, ...text) {
      const found = element(target);
      if (text.length) {
        found.textContent = text[0] === null || text[0] === undefined ? "" : String(text[0]);
      }
      return found.textContent ?? "";
    },

    value(target, ...value) {
      const found = field(target);
      if (value.length) {
        write(found, value[0]);
      }
      return read(found);
    },

    show(target, isShown = true) {
      element(target).toggleAttribute("hidden", !isShown);
    },

    hide(target) {
      page.show(target, false);
    },

    setClass(target, name, isOn = true) {
      element(target).classList.toggle(name, isOn);
    },

    attribute(target, name, ...value) {
      const found = element(target);
      if (value.length && (value[0] === null || value[0] === undefined)) {
        found.removeAttribute(name);
      } else if (value.length) {
        const text = String(value[0]);
        if (found.localName === "script" || isUnsafe(name, text)) {
          throw new TypeError(`${name}="${text}" is refused: a value must not become code or style`);
        }
        if (found.getAttribute(name) !== text) {
          found.setAttribute(name, text);
        }
      }
      return found.getAttribute(name);
    },

    on(target, event, listener) {
      const found = element(target);
      found.addEventListener(event, listener);
      return () => found.removeEventListener(event, listener);
    },

    formats: {},
    ready: bindings,
  };
  globalThis.page = page;
})();
