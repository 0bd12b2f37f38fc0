/** What tooltip.js offers: the ES module `tooltip.mjs`, and the global `tooltip` of the classic script. */
type Side = "top" | "bottom" | "left" | "right";

export interface Tooltip {
  /** The element whose text is shown, if any. */
  readonly target: Element | null;
  /** Shows the text of an element with a `tooltip` attribute at once. */
  show(target: Element): void;
  hide(): void;
  /** Shows what the attribute says now, where the element is now; needed after an element was moved by a script. */
  refresh(): void;
  /** What an attribute asks for. */
  parse(attribute: string): { text: string; side: Side; className: string };
  /** Where a bubble goes. All lengths are in pixels of the viewport. */
  place(
    target: { left: number; right: number; top: number; bottom: number },
    bubble: { width: number; height: number },
    wanted: Side,
    viewport: { width: number; height: number },
  ): { side: Side; left: number; top: number };
}

export const tooltip: Tooltip;
export default tooltip;

declare global {
  var tooltip: Tooltip;
}
