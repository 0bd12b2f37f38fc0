/**
 * Will hold: the element `<svg-favicon>`, which makes its SVG content the icon of the browser's tab.
 *
 * It comes with the HTML tools; until then it does nothing, so that pages which name it load without an error.
 */
