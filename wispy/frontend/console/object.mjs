/** The page of one object, or of an object within one. */

import { attributesSection } from "./attributes.mjs";
import { channelsSection } from "./channels.mjs";
import { h, prose } from "./dom.mjs";
import { Live } from "./live.mjs";
import { methodsSection, problemOf } from "./methods.mjs";
import { at, errorText } from "./requests.mjs";

/**
 * @typedef {object} ObjectPage
 * @property {HTMLElement} element
 * @property {string} description what the page was made from: another one needs another page
 * @property {() => void} close ends what it is subscribed to
 */

const FILTER_FROM = 12; // members from which one wants to search

/**
 * What a page is made from.
 *
 * @param {string[]} names the object's, then those of what is nested in it
 * @returns {Promise<{described: any, kinds: {[channel: string]: "value" | "event"}, error?: unknown}>}
 */
export async function describe(names) {
  const [object = ""] = names;
  try {
    const [described, kinds] = await Promise.all([at(names).$describe(), names.length === 1 ? channelKinds(object) : {}]);
    return { described, kinds };
  } catch (error) {
    return { described: {}, kinds: {}, error };
  }
}

/**
 * @param {string[]} names
 * @param {Awaited<ReturnType<typeof describe>>} from
 * @returns {ObjectPage}
 */
export function objectPage(names, from) {
  const description = JSON.stringify(from);
  const { described, kinds, error } = from;
  if (error !== undefined) {
    return { element: h("div", {}, heading(names, ""), problemOf(error)), description, close: () => {} };
  }
  const live = new Live(names[0] ?? "", kinds);
  const { methods = [], attributes = [], type = "", doc = "" } = described;
  const element = h(
    "div",
    {},
    heading(names, type),
    h("p", { class: "soft facts" }),
    doc && h("p", { class: "doc" }, ...prose(doc)),
    methods.length + attributes.length + live.channels.size >= FILTER_FROM && filter(),
    live.channels.size > 0 && channelsSection(live),
    methodsSection(names, methods),
    attributesSection(names, attributes, live),
  );
  live.start().catch((refusal) => {
    element.querySelector(".channels h2")?.after(h("p", { class: "result failed", role: "alert" }, errorText(refusal)));
  });
  return { element, description, close: () => live.stop() };
}

/** Channel to kind, of one object. @param {string} object @returns {Promise<{[channel: string]: "value" | "event"}>} */
async function channelKinds(object) {
  // `rpc.rpc.x()` is wispy's own method `rpc.x`: no object may have that name.
  const prefix = `${object}.`;
  const own = Object.entries(await rpc.rpc.channels()).filter(([name]) => name.startsWith(prefix));
  return Object.fromEntries(own.map(([name, kind]) => [name.slice(prefix.length), kind]));
}

/** @param {string[]} names @param {string} type */
function heading(names, type) {
  const path = names.flatMap((name, index) => {
    const href = `#/${names.slice(0, index + 1).map(encodeURIComponent).join("/")}`;
    const shown = index === names.length - 1 ? h("span", {}, name) : h("a", { href }, name);
    return index > 0 ? [h("span", { class: "soft" }, "."), shown] : [shown];
  });
  return h("h1", {}, h("span", {}, ...path), type && h("span", { class: "tag" }, type));
}

/** A field that hides what does not have its text in its name. */
function filter() {
  const input = h("input", { type: "search", placeholder: "Filter by name", "aria-label": "Filter by name", class: "filter" });
  input.addEventListener("input", () => {
    const wanted = input.value.trim().toLowerCase();
    for (const member of document.querySelectorAll("[data-channel], [data-method], [data-attribute]")) {
      const { channel, method, attribute } = /** @type {HTMLElement} */ (member).dataset;
      const name = channel ?? method ?? attribute ?? "";
      /** @type {HTMLElement} */ (member).hidden = !name.toLowerCase().includes(wanted);
    }
  });
  return input;
}
