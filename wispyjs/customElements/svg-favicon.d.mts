/** The ES module `svg-favicon.mjs`: importing it defines `<svg-favicon>`. */

export class SvgFavicon extends HTMLElement {}
