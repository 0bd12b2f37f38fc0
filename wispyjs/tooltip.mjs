/** tooltip.js as an ES module. The same file, so also the same bubble. */
import "./tooltip.js";

export const { tooltip } = globalThis;
export default tooltip;
