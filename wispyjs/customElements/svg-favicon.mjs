/** svg-favicon.js as an ES module. */
import "./svg-favicon.js";

export const SvgFavicon = customElements.get("svg-favicon");
