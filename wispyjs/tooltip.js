/**
 * Help texts: `tooltip="text"` shows the text in a bubble while its element is hovered or has the focus.
 *
 *     <button tooltip="starts the motor#bottom">Start</button>
 *
 * What follows the last `#`, if it is a name, says where the bubble is (`top`, `bottom`, `left`, `right`, `def` for
 * the default: above), or becomes the class `tooltip-name` of the bubble. A text that ends in such a name by chance
 * gets `#def` behind it.
 *
 * The rules that this file keeps:
 *
 * - The bubble goes where there is room, and stays within the viewport.
 * - Escape hides it, and it stays while the pointer is on it (WCAG 1.4.13). It is `role="tooltip"`, and describes its
 *   element (`aria-describedby`) while it is shown.
 * - What has a help text can be reached by keyboard: an element that takes no focus and stands in none gets
 *   `tabindex="0"`, unless it has a tabindex.
 * - The text is text: no markup. The page's own style sheet has the last word: nothing here is more than `:where(...)`.
 */
(() => {
  "use strict";

  if (typeof document === "undefined" || typeof globalThis.tooltip?.refresh === "function") {
    return; // no page, or loaded twice
  }

  /** @typedef {"top" | "bottom" | "left" | "right"} Side */

  const DEFAULT_SIDE = /** @type {Side} */ ("top");
  const OPPOSITE = /** @type {Record<Side, Side>} */ ({ top: "bottom", bottom: "top", left: "right", right: "left" });
  const GAP_PX = 6; // between element and bubble
  const MARGIN_PX = 4; // to the viewport's edge
  const HOVER_MS = 250; // a pointer that only passes shows nothing
  const LEAVE_MS = 200; // to get from the element onto the bubble
  const ID = "wispy-tooltip";

  const STYLE = `
    :where(.tooltip) {
      position: fixed; inset: auto; box-sizing: border-box; width: max-content; max-width: min(20rem, calc(100vw - 8px));
      margin: 0; padding: 0.35em 0.65em; border: 0; border-radius: 0.4em; z-index: 2147483647; overflow: visible;
      background: #22272e; color: #f4f6f8; box-shadow: 0 2px 8px rgb(0 0 0 / 35%);
      font: 0.875rem/1.4 system-ui, sans-serif; text-align: start; white-space: pre-line; overflow-wrap: anywhere;
    }
    :where(.tooltip[hidden]) { display: none; }
    @media (forced-colors: active) { :where(.tooltip) { border: 1px solid; } }`;

  /**
   * The text, the side and the class that an attribute asks for.
   *
   * @param {string} attribute
   * @returns {{text: string, side: Side, className: string}}
   */
  function parse(attribute) {
    const [, text, name] = /^(.*)#([A-Za-z_][\w-]*)$/s.exec(attribute) ?? [attribute, attribute, "def"];
    const isSide = name !== undefined && Object.hasOwn(OPPOSITE, name);
    return {
      text: text ?? "",
      side: isSide ? /** @type {Side} */ (name) : DEFAULT_SIDE,
      className: isSide || name === "def" ? "tooltip" : `tooltip tooltip-${name}`,
    };
  }

  /**
   * Where the bubble goes: on the wanted side, or on the other one if only that has room; then into the viewport.
   *
   * @param {{left: number, right: number, top: number, bottom: number}} target
   * @param {{width: number, height: number}} bubble
   * @param {Side} wanted
   * @param {{width: number, height: number}} viewport
   * @returns {{side: Side, left: number, top: number}}
   */
  function place(target, bubble, wanted, viewport) {
    /** @type {Record<Side, number>} */
    const room = {
      top: target.top - bubble.height,
      bottom: viewport.height - target.bottom - bubble.height,
      left: target.left - bubble.width,
      right: viewport.width - target.right - bubble.width,
    };
    const needed = GAP_PX + MARGIN_PX;
    const side = room[wanted] < needed && room[OPPOSITE[wanted]] >= needed ? OPPOSITE[wanted] : wanted;
    const centred = {
      left: (target.left + target.right - bubble.width) / 2,
      top: (target.top + target.bottom - bubble.height) / 2,
    };
    const wish = {
      top: { left: centred.left, top: target.top - GAP_PX - bubble.height },
      bottom: { left: centred.left, top: target.bottom + GAP_PX },
      left: { left: target.left - GAP_PX - bubble.width, top: centred.top },
      right: { left: target.right + GAP_PX, top: centred.top },
    }[side];
    const within = (/** @type {number} */ at, /** @type {number} */ size, /** @type {number} */ all) =>
      Math.max(MARGIN_PX, Math.min(at, all - size - MARGIN_PX));
    return {
      side,
      left: within(wish.left, bubble.width, viewport.width),
      top: within(wish.top, bubble.height, viewport.height),
    };
  }

  /** The one bubble of the page, and whom it describes. */
  class Tooltip {
    parse = parse;
    place = place;

    #bubble = document.createElement("div");
    /** @type {Element | null} whose text is shown */
    #target = null;
    /** @type {ReturnType<typeof setTimeout> | undefined} of showing or hiding */
    #timer = undefined;

    constructor() {
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(STYLE);
      document.adoptedStyleSheets.push(sheet);
      Object.assign(this.#bubble, { id: ID, role: "tooltip", hidden: true, className: "tooltip" });
      // The top layer is above dialogs. Where there is none, a z-index has to do.
      if ("popover" in this.#bubble) {
        this.#bubble.popover = "manual";
      }
      this.#bubble.addEventListener("pointerenter", () => clearTimeout(this.#timer));
      this.#bubble.addEventListener("pointerleave", () => this.#hideSoon());
      this.#listen();
    }

    /** The element whose text is shown, if any. */
    get target() {
      return this.#target;
    }

    /** Shows an element's text at once. @param {Element} target with an attribute `tooltip` */
    show(target) {
      clearTimeout(this.#timer);
      if (this.#target !== target) {
        this.hide();
        this.#target = target;
      }
      this.refresh();
    }

    hide() {
      clearTimeout(this.#timer);
      if (this.#target === null) {
        return;
      }
      describe(this.#target, false);
      this.#target = null;
      if (this.#bubble.popover && this.#bubble.isConnected) {
        this.#bubble.hidePopover();
      }
      this.#bubble.hidden = true;
    }

    /** Shows what the attribute says now, where the element is now. */
    refresh() {
      const target = this.#target;
      const { text, side, className } = parse(target?.getAttribute("tooltip") ?? "");
      if (!target?.isConnected || !text.trim()) {
        this.hide();
        return;
      }
      const bubble = this.#bubble;
      if (!bubble.isConnected) {
        document.body.append(bubble);
      }
      bubble.textContent = text;
      bubble.className = className;
      bubble.hidden = false;
      if (bubble.popover && !bubble.matches(":popover-open")) {
        bubble.showPopover();
      }
      Object.assign(bubble.style, { left: "0", top: "0" }); // measured where nothing squeezes it
      const viewport = { width: document.documentElement.clientWidth, height: innerHeight }; // without scroll bars
      const position = place(target.getBoundingClientRect(), bubble.getBoundingClientRect(), side, viewport);
      bubble.dataset.side = position.side;
      Object.assign(bubble.style, { left: `${position.left}px`, top: `${position.top}px` });
      describe(target, true);
    }

    #listen() {
      /** @param {string} event @param {(event: any) => void} listener */
      const on = (event, listener) => document.addEventListener(event, listener, { capture: true, passive: true });
      on("pointerover", (event) => this.#entered(event));
      on("pointerout", (event) => this.#left(event));
      on("pointerdown", (event) => {
        if (!this.#bubble.contains(event.target)) { // its text may be selected
          this.hide();
        }
      });
      on("focusin", ({ target }) => {
        const described = withTooltip(target);
        if (described && target.matches(":focus-visible")) {
          this.show(described);
        }
      });
      on("focusout", () => this.hide());
      on("keydown", ({ key }) => {
        if (key === "Escape") {
          this.hide();
        }
      });
      on("scroll", () => this.#target && this.refresh());
      addEventListener("resize", () => this.#target && this.refresh());
    }

    /** @param {PointerEvent} event */
    #entered({ target }) {
      const described = withTooltip(target);
      if (described === this.#target && described) {
        clearTimeout(this.#timer);
      } else if (described) {
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => this.show(described), HOVER_MS);
      }
    }

    /** @param {PointerEvent} event */
    #left({ target, relatedTarget, pointerType }) {
      const described = withTooltip(target);
      if (!described || (relatedTarget instanceof Node && described.contains(relatedTarget))) {
        return;
      }
      if (this.#target !== described) {
        clearTimeout(this.#timer); // it was about to be shown
      } else if (pointerType !== "touch" && !described.matches(":focus-visible")) { // a finger leaves as it is lifted
        this.#hideSoon();
      }
    }

    #hideSoon() {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.hide(), LEAVE_MS);
    }
  }

  /** @param {unknown} target */
  function withTooltip(target) {
    return target instanceof Element ? target.closest("[tooltip]") : null;
  }

  /** Tells screen readers, beside what the page says by itself. @param {Element} target @param {boolean} isShown */
  function describe(target, isShown) {
    const ids = (target.getAttribute("aria-describedby") ?? "").split(/\s+/).filter((id) => id && id !== ID);
    if (isShown) {
      ids.push(ID);
    }
    ids.length ? target.setAttribute("aria-describedby", ids.join(" ")) : target.removeAttribute("aria-describedby");
  }

  const TAKES_FOCUS = "a[href], button, input, select, textarea, summary, label, [tabindex], [contenteditable]";

  /** @param {Element} element with a tooltip */
  function makeReachable(element) {
    const reaches = element.closest(TAKES_FOCUS) ?? element.querySelector(TAKES_FOCUS);
    if (reaches === null && !element.closest("custom-template")) {
      element.setAttribute("tabindex", "0");
    }
  }

  /** @param {ParentNode} root */
  function visit(root) {
    if (root instanceof Element && root.hasAttribute("tooltip")) {
      makeReachable(root);
    }
    root.querySelectorAll("[tooltip]").forEach(makeReachable);
  }

  const tooltip = new Tooltip();
  globalThis.tooltip = tooltip;

  new MutationObserver((changes) => {
    for (const { type, target, addedNodes } of changes) {
      if (type === "attributes") {
        makeReachable(/** @type {Element} */ (target));
      }
      addedNodes.forEach((node) => node instanceof Element && visit(node));
    }
    const { target: shown } = tooltip;
    if (shown && (!shown.isConnected || changes.some(({ type, target }) => type === "attributes" && target === shown))) {
      tooltip.refresh();
    }
  }).observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ["tooltip"] });
  visit(document);
})();
