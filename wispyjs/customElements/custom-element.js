/**
 * Will hold: `<custom-template>`, which defines elements of its own from parameterised HTML.
 *
 * It comes with the HTML tools; until then it does nothing, so that pages which name it load without an error.
 */
