/** What page.js offers: the ES module `page.mjs`, and the global `page` of the classic script. */

export type Field = HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement | HTMLOutputElement;

/** Tools for elements. Each takes an element, or its id; a RangeError says which id there is not. */
export interface Page {
  element(target: string | Element): Element;
  isField(element: Element): element is Field;
  /** An element's text; with a second argument it is changed first. Markup in it is shown, not obeyed. */
  text(target: string | Element, text?: unknown): string;
  /**
   * What a field says, changed first if there is a second argument: a number (or null, or a BigInt beyond 2 ** 53) of number fields and sliders, a boolean
   * of a checkbox, the chosen value (or null) of a group of radio buttons, a list of a multiple selection, else a text; that
   * of a time has its seconds, as Python wants it.
   */
  value(target: string | Element, value?: any): any;
  show(target: string | Element, isShown?: boolean): void;
  hide(target: string | Element): void;
  setClass(target: string | Element, name: string, isOn?: boolean): void;
  /** An attribute; null takes it away. Throws a TypeError for what would be code: `on...`, `srcdoc`, `style`, `javascript:`, any of a `<script>` */
  attribute(target: string | Element, name: string, value?: unknown): string | null;
  /** Returns how to stop listening. */
  on(target: string | Element, event: string, listener: (event: Event) => void): () => void;
  /** Formats of the page's own for binding attributes, by name: `page.formats.kelvin = (celsius) => celsius + 273.15`. */
  readonly formats: { [name: string]: (value: any, ...args: any[]) => any };
  /** Settles when the binding attributes that the page came with are bound. */
  readonly ready: Promise<void>;
}

export const page: Page;
export default page;

declare global {
  var page: Page;
}
