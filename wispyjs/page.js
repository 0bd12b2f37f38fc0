/**
 * Will hold: reading, changing and binding elements of the page by id.
 *
 * It comes with the HTML tools; until then it does nothing, so that pages which name it load without an error.
 */
