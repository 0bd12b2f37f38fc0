/**
 * The last half minute of a number: a ring of time slots, each with the smallest, the greatest and the last value in it.
 * So a channel with a thousand updates a second costs as much memory and drawing as one with ten, and no peak is lost.
 */

export const SLOTS = 300; // about the width of a plot
export const SLOT_MS = 100;

/** One number over time. */
export class Series {
  #least = new Float64Array(SLOTS).fill(NaN);
  #greatest = new Float64Array(SLOTS).fill(NaN);
  #last = new Float64Array(SLOTS).fill(NaN);
  /** The slot that was written last, counted since time 0. */
  #newest = -1;
  /** What it was before all slots that are kept. */
  #before = NaN;

  /** @param {number} value @param {number} now milliseconds that never jump */
  add(value, now) {
    this.#advance(Math.floor(now / SLOT_MS));
    const at = this.#newest % SLOTS;
    if (!Number.isFinite(value)) {
      return; // a hole in the line
    }
    const isFirst = Number.isNaN(this.#last[at]);
    this.#least[at] = isFirst ? value : Math.min(value, /** @type {number} */ (this.#least[at]));
    this.#greatest[at] = isFirst ? value : Math.max(value, /** @type {number} */ (this.#greatest[at]));
    this.#last[at] = value;
  }

  /** Makes room up to a slot. @param {number} slot */
  #advance(slot) {
    if (this.#newest < 0 || slot - this.#newest >= SLOTS) {
      this.#before = this.#newest < 0 ? NaN : this.#latest();
      this.#clear(0, SLOTS);
    } else {
      for (let each = this.#newest + 1; each <= slot; each += 1) {
        const last = /** @type {number} */ (this.#last[each % SLOTS]);
        this.#before = Number.isNaN(last) ? this.#before : last;
        this.#clear(each % SLOTS, (each % SLOTS) + 1);
      }
    }
    this.#newest = Math.max(slot, this.#newest);
  }

  /** @param {number} start @param {number} end */
  #clear(start, end) {
    for (const slots of [this.#least, this.#greatest, this.#last]) {
      slots.fill(NaN, start, end);
    }
  }

  #latest() {
    for (let slot = this.#newest; slot > this.#newest - SLOTS && slot >= 0; slot -= 1) {
      const last = /** @type {number} */ (this.#last[slot % SLOTS]);
      if (!Number.isNaN(last)) {
        return last;
      }
    }
    return this.#before;
  }

  /**
   * What to draw: for each slot the range of its values. A slot without an update holds the value before it.
   *
   * @param {number} now
   * @returns {{least: Float64Array, greatest: Float64Array, low: number, high: number}} low and high of the whole line;
   *   NaN where there is none
   */
  lines(now) {
    this.#advance(Math.floor(now / SLOT_MS));
    const least = new Float64Array(SLOTS).fill(NaN);
    const greatest = new Float64Array(SLOTS).fill(NaN);
    let held = this.#before;
    let [low, high] = [NaN, NaN];
    for (let index = 0; index < SLOTS; index += 1) {
      const at = (this.#newest + 1 + index) % SLOTS;
      const last = /** @type {number} */ (this.#last[at]);
      const isHeld = Number.isNaN(last);
      least[index] = isHeld ? held : /** @type {number} */ (this.#least[at]);
      greatest[index] = isHeld ? held : /** @type {number} */ (this.#greatest[at]);
      held = isHeld ? held : last;
      low = lesser(low, /** @type {number} */ (least[index]));
      high = greater(high, /** @type {number} */ (greatest[index]));
    }
    return { least, greatest, low, high };
  }
}

/** @param {number} one @param {number} other */
const lesser = (one, other) => (Number.isNaN(one) || other < one ? other : one);

/** @param {number} one @param {number} other */
const greater = (one, other) => (Number.isNaN(one) || other > one ? other : one);

/** The last part of a second's updates: how many come each second. */
export class Rate {
  #since = -1;
  #count = 0;
  perSecond = 0;

  /** @param {number} now */
  add(now) {
    this.#look(now);
    this.#count += 1;
  }

  /** @param {number} now */
  read(now) {
    this.#look(now);
    return this.perSecond;
  }

  /** @param {number} now */
  #look(now) {
    if (this.#since < 0) {
      this.#since = now;
    }
    const passed = now - this.#since;
    if (passed >= 2000) {
      this.perSecond = (this.#count * 1000) / passed;
      this.#since = now;
      this.#count = 0;
    }
  }
}

const PROFILE = 8; // numbers from which a list is drawn as a curve of its own, instead of over time
const LINES = 4; // that can be told apart

/**
 * How a value can be drawn: as numbers over time, as one curve, or not at all.
 *
 * @param {unknown} value
 * @returns {{over: "time" | "index", numbers: ArrayLike<number>} | null}
 */
export function drawable(value) {
  if (typeof value === "number" || typeof value === "boolean") {
    return { over: "time", numbers: [Number(value)] };
  }
  if (!Array.isArray(value) || value.length === 0 || !value.slice(0, 4096).every((each) => typeof each === "number")) {
    return null;
  }
  if (value.length >= PROFILE) {
    return { over: "index", numbers: value };
  }
  return value.length <= LINES ? { over: "time", numbers: value } : null;
}
