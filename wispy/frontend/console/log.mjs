/** The log of what was asked for here, the newest first. */

import { fill, h, say } from "./dom.mjs";
import { KEPT, clear, entries, listeners } from "./requests.mjs";
import { duration } from "./values.mjs";

/** @typedef {import("./requests.mjs").Entry} Entry */

/** Shows the log in an element of the page. @param {HTMLElement} place */
export function showLog(place) {
  const list = h("ol", { class: "entries", tabindex: "0", "aria-label": "Calls, newest first" });
  const empty = h("p", { class: "empty" }, "What you call, read and set is listed here.");
  /** @type {Map<number, HTMLElement>} */
  const items = new Map();
  const button = h("button", { type: "button", class: "small" }, "Clear");
  const count = h("span", { class: "soft" });
  const head = h("summary", {}, h("h2", {}, "Log of calls", count));
  const box = h("details", { open: true }, head, button, empty, list);
  const wide = matchMedia("(min-width: 70rem)");
  const fold = () => { box.open = wide.matches; };
  wide.addEventListener("change", fold);
  fold();

  const tell = () => {
    empty.hidden = entries.length > 0;
    list.hidden = button.hidden = entries.length === 0;
    say(count, entries.length ? ` ${entries.length}` : "");
  };
  const shown = (/** @type {Entry} */ entry) => {
    let item = items.get(entry.id);
    if (!item) {
      item = h("li", {});
      items.set(entry.id, item);
      list.prepend(item);
      if (items.size > KEPT) {
        const [oldest = 0] = items.keys();
        items.get(oldest)?.remove();
        items.delete(oldest);
      }
    }
    item.dataset.state = entry.state;
    fill(item, ...itemContent(entry));
    tell();
  };
  button.addEventListener("click", () => {
    clear();
    const kept = new Set(entries.map(({ id }) => id));
    for (const [id, item] of items) {
      if (!kept.has(id)) {
        item.remove();
        items.delete(id);
      }
    }
    tell();
    box.querySelector("summary")?.focus();
  });
  listeners.add(shown);
  tell();
  fill(place, box);
}

/** @param {Entry} entry */
function itemContent({ at, text, state, ms, outcome }) {
  const time = h("time", { datetime: at.toISOString() }, at.toLocaleTimeString());
  const hasEnded = state !== "running";
  return [
    h("p", { class: "soft" }, time, h("span", { class: "mark" }, state), hasEnded && h("span", { class: "ms" }, duration(ms))),
    h("code", {}, text),
    hasEnded && h("p", { class: "outcome" }, outcome),
  ];
}
