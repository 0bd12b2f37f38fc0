/**
 * `<svg-favicon>` makes its content, the inside of an SVG, the icon of the browser's tab.
 *
 *     <svg-favicon color="blue"><circle r="5" cx="5" cy="5" style="fill:$color;"></circle></svg-favicon>
 *
 * `$color`, or the name of any other of its attributes, stands for that attribute's value, and the icon follows when
 * attributes or content change. `viewBox` says which part is shown, `0 0 10 10` if it is not there. The last element
 * on the page is the one that is shown; when it goes, so does its icon.
 */
(() => {
  "use strict";

  if (typeof customElements === "undefined" || customElements.get("svg-favicon")) {
    return; // no page, or loaded twice
  }

  const SVG = "http://www.w3.org/2000/svg";
  const VIEW_BOX = "0 0 10 10";
  /** Elements that hold no shapes: in HTML `<circle/>` does not end, and takes in what follows. */
  const SHAPES = "circle, ellipse, image, line, path, polygon, polyline, rect, use, stop";
  /** Shapes may have these, and it changes what they show. */
  const OF_SHAPES = new Set(["animate", "animateMotion", "animateTransform", "desc", "set", "title"]);
  /** XML has no way to write these. */
  // eslint-disable-next-line no-control-regex
  const NOT_IN_XML = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g;

  class SvgFavicon extends HTMLElement {
    #link = document.createElement("link");
    #isDue = false;
    #observer = new MutationObserver(() => this.#update());

    constructor() {
      super();
      this.#link.rel = "icon";
      this.#link.type = "image/svg+xml";
    }

    connectedCallback() {
      this.hidden = true;
      this.#observer.observe(this, { attributes: true, childList: true, characterData: true, subtree: true });
      this.#update();
    }

    disconnectedCallback() {
      this.#observer.disconnect();
      this.#link.remove();
    }

    /** Once for all that changes in one turn: while the page is parsed, its parts come one by one. */
    #update() {
      if (this.#isDue) {
        return;
      }
      this.#isDue = true;
      queueMicrotask(() => {
        this.#isDue = false;
        if (this.isConnected) {
          this.#link.href = `data:image/svg+xml,${encodeURIComponent(this.#draw())}`;
          document.head.append(this.#link);
        }
      });
    }

    /** The icon's SVG. Values are put into the tree of the SVG, not into its text, so that they are never markup. */
    #draw() {
      const holder = document.createElement("template");
      // The content is HTML's until the parser has seen it inside of an <svg>: only there `lineargradient` gets its G.
      holder.innerHTML = this.querySelector("svg")?.outerHTML ?? `<svg>${this.innerHTML}</svg>`;
      const svg = /** @type {Element} */ (holder.content.firstElementChild);
      for (const shape of [...svg.querySelectorAll(SHAPES)].reverse()) {
        shape.after(...[...shape.childNodes].filter((node) => !OF_SHAPES.has(node.nodeName)));
      }
      if (!svg.hasAttribute("viewBox")) {
        svg.setAttribute("viewBox", this.getAttribute("viewBox") ?? VIEW_BOX);
      }
      const nodes = document.createTreeWalker(svg, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT);
      for (let node = nodes.nextNode(); node; node = nodes.nextNode()) {
        if (node instanceof Text) {
          node.data = this.#fill(node.data);
        } else if (node instanceof Element) {
          for (const attribute of node.attributes) {
            attribute.value = this.#fill(attribute.value);
          }
        }
      }
      const text = new XMLSerializer().serializeToString(svg);
      return text.includes(`xmlns="${SVG}"`) ? text : text.replace("<svg", `<svg xmlns="${SVG}"`);
    }

    /** @param {string} text */
    #fill(text) {
      const filled = text.replace(/\$([A-Za-z_][\w-]*)/g, (whole, name) => this.getAttribute(name) ?? whole);
      return filled.replace(NOT_IN_XML, "");
    }
  }

  customElements.define("svg-favicon", SvgFavicon);
})();
