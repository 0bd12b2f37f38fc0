/**
 * Making elements. Values come in as text only: nothing here, and nothing that uses it, turns text into markup.
 *
 * @typedef {Node | string | number | null | undefined | false} Child
 */

/**
 * An element.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, any>} [attributes] functions are listeners (`onclick`); true is an attribute without a value;
 *   false and undefined are none
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") {
      element.addEventListener(name.slice("on".length), value);
    } else if (value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  fill(element, ...children);
  return element;
}

/** Replaces what is in an element. @param {Element} element @param {...(Child | Child[])} children */
export function fill(element, ...children) {
  const shown = children.flat().filter((child) => child !== null && child !== undefined && child !== false);
  element.replaceChildren(...shown.map((child) => (child instanceof Node ? child : String(child))));
}

/**
 * Makes an element like another one, and touches only what differs: who has the focus in it, or has selected some of its
 * text, is not disturbed. Listeners do not come along.
 *
 * @param {ChildNode} shown
 * @param {ChildNode} fresh
 */
export function become(shown, fresh) {
  if (shown.nodeName !== fresh.nodeName || shown.childNodes.length !== fresh.childNodes.length) {
    shown.replaceWith(fresh);
  } else if (shown instanceof Element && fresh instanceof Element) {
    for (const { name } of [...shown.attributes].filter(({ name: each }) => !fresh.hasAttribute(each))) {
      shown.removeAttribute(name);
    }
    for (const { name, value } of [...fresh.attributes].filter((each) => shown.getAttribute(each.name) !== each.value)) {
      shown.setAttribute(name, value);
    }
    const successors = [...fresh.childNodes];
    [...shown.childNodes].forEach((child, index) => become(child, /** @type {ChildNode} */ (successors[index])));
  } else {
    say(shown, fresh.textContent ?? "");
  }
}

/** Documentation, with what stands between backticks as code. @param {string} text @returns {Child[]} */
export function prose(text) {
  return text.split(/`+([^`\n]+)`+/).map((piece, index) => (index % 2 ? h("code", {}, piece) : piece));
}

/** Changes a text where it differs: an untouched node costs no layout. @param {Node} node @param {string} text */
export function say(node, text) {
  if (node.textContent !== text) {
    node.textContent = text;
  }
}

let nextId = 0;

/** An id that no other element has: for labels. @param {string} stem */
export function freshId(stem) {
  nextId += 1;
  return `${stem}-${nextId}`;
}

/** Tells those who hear the page instead of seeing it. @param {string} text */
export function announce(text) {
  const said = document.getElementById("said");
  if (said) {
    said.textContent = text;
  }
}

/** The element of the page itself with this id. @param {string} id */
export function part(id) {
  const element = document.getElementById(id);
  if (!element) {
    throw new Error(`index.html has no #${id}`);
  }
  return element;
}
