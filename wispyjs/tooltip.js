/**
 * Will hold: help texts from `tooltip="text#position"` attributes.
 *
 * It comes with the HTML tools; until then it does nothing, so that pages which name it load without an error.
 */
