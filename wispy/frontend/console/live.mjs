/**
 * The channels of an object, live. Updates come at any rate and are only noted; what is on the screen is painted at most
 * twelve times a second, since nobody reads faster, and the rest once a second, for those who search or listen.
 *
 * @typedef {object} View one place where a channel is shown
 * @property {HTMLElement} element
 * @property {(channel: LiveChannel, now: number, isNew: boolean) => void} paint isNew: there is another value than before
 *
 * @typedef {View & {isSeen: boolean, paintedAt: number, version: number}} Painted
 */

import { Rate, Series, drawable } from "./series.mjs";

const PAINT_MS = 80;
const UNSEEN_MS = 1_000;
const STILL_MS = 31_000; // a plot without updates stands still once its half minute has passed
const MESSAGES = 50; // of an event channel

/** One channel: what is known of it. */
export class LiveChannel {
  /** @type {any} */
  value = undefined;
  hasValue = false;
  /** @type {Series[]} one for each number of its values */
  series = [];
  /** @type {"time" | "index" | null} what its values are drawn over */
  over = null;
  rate = new Rate();
  updates = 0;
  updatedAt = -Infinity;
  /** Grows with all that is to be shown. */
  version = 0;
  /** @type {{at: Date, value: any, isGap: boolean}[]} of an event channel, the newest first */
  messages = [];
  /** @type {Set<Painted>} */
  views = new Set();

  /** @param {string} name without its object's @param {"value" | "event"} kind */
  constructor(name, kind) {
    this.name = name;
    this.kind = kind;
  }

  /** @param {any} value @param {number} now */
  take(value, now) {
    this.value = value;
    this.hasValue = true;
    this.version += 1;
    this.updates += 1;
    this.updatedAt = now;
    this.rate.add(now);
    if (this.kind === "event") {
      this.note(value, false);
      return;
    }
    const shape = drawable(value);
    this.over = shape?.over ?? null;
    if (shape?.over === "time") {
      while (this.series.length < shape.numbers.length) {
        this.series.push(new Series());
      }
      this.series.length = shape.numbers.length;
      this.series.forEach((series, index) => series.add(/** @type {number} */ (shape.numbers[index]), now));
    }
  }

  /** @param {any} value @param {boolean} isGap */
  note(value, isGap) {
    this.messages.unshift({ at: new Date(), value, isGap });
    this.messages.length = Math.min(this.messages.length, MESSAGES);
    this.version += 1;
  }
}

/** All channels of one object, from `start` to `stop`. */
export class Live {
  /** @type {Map<string, LiveChannel>} */
  channels = new Map();
  /** @type {Map<Element, Painted>} */
  #views = new Map();
  #observer;
  #timer = 0;
  #stopGaps = () => {};
  #isStopped = false;

  /** @param {string} object @param {{[channel: string]: "value" | "event"}} kinds */
  constructor(object, kinds) {
    this.object = object;
    for (const [name, kind] of Object.entries(kinds)) {
      this.channels.set(name, new LiveChannel(name, kind));
    }
    this.#observer = new IntersectionObserver((entries) => this.#look(entries), { rootMargin: "200px" });
  }

  /** Subscribes. @returns {Promise<void>} rejects if the server refuses */
  async start() {
    const handlers = Object.fromEntries(
      [...this.channels.values()].map((channel) => [
        channel.name,
        (/** @type {any} */ value) => {
          channel.take(value, performance.now());
          this.#schedule();
        },
      ]),
    );
    this.#stopGaps = rpc.$on("gap", ({ channel }) => {
      const prefix = `${this.object}.`;
      this.channels.get(channel.startsWith(prefix) ? channel.slice(prefix.length) : "")?.note("messages are missing here", true);
      this.#schedule();
    });
    if (this.channels.size > 0) {
      await rpc[this.object].rpcWebsocket.addChannelHandlers(handlers, true);
    }
  }

  stop() {
    this.#isStopped = true;
    this.#stopGaps();
    clearTimeout(this.#timer);
    this.#observer.disconnect();
    if (this.channels.size > 0) {
      rpc[this.object].rpcWebsocket.removeChannelHandlers([...this.channels.keys()]);
    }
  }

  /** Shows a channel somewhere. @param {LiveChannel} channel @param {View} view */
  show(channel, view) {
    const painted = { ...view, isSeen: false, paintedAt: -Infinity, version: 0 };
    channel.views.add(painted);
    this.#views.set(view.element, painted);
    this.#observer.observe(view.element);
  }

  /** @param {IntersectionObserverEntry[]} entries */
  #look(entries) {
    for (const { target, isIntersecting } of entries) {
      const view = this.#views.get(target);
      if (view) {
        view.isSeen = isIntersecting;
        view.paintedAt = -Infinity; // what comes into sight shows what was missed
      }
    }
    this.#schedule();
  }

  #schedule() {
    if (this.#timer === 0 && !this.#isStopped) {
      this.#timer = setTimeout(() => requestAnimationFrame(() => this.#paint()), PAINT_MS);
    }
  }

  #paint() {
    this.#timer = 0;
    const now = performance.now();
    let isMoving = false;
    for (const channel of this.channels.values()) {
      const moves = channel.kind === "value" && channel.updates > 0 && now - channel.updatedAt < STILL_MS;
      isMoving ||= moves;
      for (const view of channel.views) {
        const isNew = view.version !== channel.version;
        const isDue = view.isSeen ? isNew || moves || view.paintedAt < 0 : isNew && now - view.paintedAt > UNSEEN_MS;
        if (isDue) {
          view.version = channel.version;
          view.paintedAt = now;
          view.paint(channel, now, isNew);
        }
        isMoving ||= view.version !== channel.version;
      }
    }
    if (isMoving) {
      this.#schedule();
    }
  }
}
