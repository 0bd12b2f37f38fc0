/**
 * Will hold: requests over HTTP, and uploads with a progress event.
 *
 * It comes with the HTML tools; until then it does nothing, so that pages which name it load without an error.
 */
