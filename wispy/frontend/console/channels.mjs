/** What the channels of an object look like: a card for each, with its value and plot, or its last messages. */

import { fill, h, say } from "./dom.mjs";
import { draw, lineOf } from "./plot.mjs";
import { drawable } from "./series.mjs";
import { inline } from "./values.mjs";

const SHOWN_MESSAGES = 20;
const DENSE = 24; // cards from which they are made smaller

/**
 * @typedef {import("./live.mjs").LiveChannel} LiveChannel
 * @typedef {import("./live.mjs").Live} Live
 */

/** @param {Live} live */
export function channelsSection(live) {
  const channels = [...live.channels.values()];
  const values = channels.filter(({ kind }) => kind === "value");
  const events = channels.filter(({ kind }) => kind === "event");
  const dense = values.length > DENSE ? " dense" : "";
  const cards = [
    ...values.map((channel) => valueCard(live, channel)),
    ...events.map((channel) => eventCard(live, channel)),
  ];
  return h(
    "section",
    { class: "channels", "aria-labelledby": "channels" },
    h("h2", { id: "channels" }, "Live", h("span", { class: "soft" }, "the last 30 seconds")),
    h("div", { class: `cards${dense}` }, ...cards),
  );
}

/** @param {Live} live @param {LiveChannel} channel */
function valueCard(live, channel) {
  const value = h("output", { class: "value" }, "…");
  const rate = h("span", { class: "soft rate" });
  const canvas = h("canvas", { "aria-hidden": "true", hidden: true });
  const range = h("p", { class: "soft range" });
  const element = h(
    "article",
    { class: "card live", "data-channel": channel.name, "aria-label": channel.name },
    h("h3", {}, h("span", {}, channel.name), rate),
    value,
    canvas,
    range,
  );
  /** @type {import("./live.mjs").View["paint"]} */
  const paint = (_, now, isNew) => {
    if (isNew && channel.hasValue) {
      // Alone in its card a text needs no quotes.
      say(value, typeof channel.value === "string" ? channel.value.slice(0, 160) : valueText(channel.value));
      value.classList.toggle("long", (value.textContent ?? "").length > 14);
    }
    say(rate, rateText(channel.rate.read(now)));
    canvas.hidden = channel.over === null;
    if (channel.over !== null && (channel.over === "time" || isNew)) {
      const lines = linesOf(channel, now);
      draw(canvas, lines);
      say(range, rangeText(lines));
    }
  };
  live.show(channel, { element, paint });
  return element;
}

/** @param {LiveChannel} channel @param {number} now */
function linesOf(channel, now) {
  const shape = drawable(channel.value);
  if (channel.over === "index" && shape) {
    return [lineOf(shape.numbers)];
  }
  return channel.series.map((series) => series.lines(now));
}

/** @param {import("./plot.mjs").Line[]} lines */
function rangeText(lines) {
  const [line] = lines;
  if (lines.length !== 1 || !line || !Number.isFinite(line.low)) {
    return "";
  }
  return line.low === line.high ? "steady" : `${short(line.low)} to ${short(line.high)}`;
}

/** @param {number} number */
const short = (number) => String(Number(number.toPrecision(5)));

/** @param {number} perSecond */
function rateText(perSecond) {
  return perSecond < 0.05 ? "" : `${perSecond < 10 ? perSecond.toFixed(1) : Math.round(perSecond)}/s`;
}

/** @param {any} value */
export function valueText(value) {
  return Array.isArray(value) && value.length >= 8 ? `${value.length} items` : inline(value, 160);
}

/** @param {Live} live @param {LiveChannel} channel */
function eventCard(live, channel) {
  const list = h("ol", { class: "messages", "aria-label": `Messages of ${channel.name}`, tabindex: "0" });
  const count = h("span", { class: "soft rate" });
  const element = h(
    "article",
    { class: "card live event", "data-channel": channel.name, "aria-label": channel.name },
    h("h3", {}, h("span", {}, channel.name), count),
    list,
  );
  const none = h("li", { class: "soft" }, "no message since this page is open");
  list.append(none);
  const paint = () => {
    if (channel.messages.length > 0) {
      say(count, `${channel.updates} since this page is open`);
      fill(list, channel.messages.slice(0, SHOWN_MESSAGES).map(messageItem));
    }
  };
  live.show(channel, { element, paint });
  return element;
}

/** @param {LiveChannel["messages"][number]} message */
function messageItem({ at, value, isGap }) {
  const time = h("time", { datetime: at.toISOString() }, at.toLocaleTimeString());
  return h("li", { class: isGap && "gap" }, time, " ", isGap ? value : h("code", {}, inline(value, 400)));
}
