/**
 * Asks who looks at the page, where the server wants to know and no cookie or proxy tells it. The token goes to `rpc`, which
 * keeps it in memory alone.
 */

import { fill, h, say } from "./dom.mjs";
import { errorText } from "./requests.mjs";

const UNAUTHENTICATED = -32009;

/** Shows a form in this element for as long as the server refuses this page. @param {HTMLElement} place */
export function askWho(place) {
  const input = h("input", { type: "password", id: "token", autocomplete: "off", required: true, "aria-describedby": "token-problem" });
  const problem = h("p", { class: "problem", id: "token-problem", role: "alert" });
  const form = h(
    "form",
    { novalidate: true },
    h("label", { for: "token" }, "This server asks who you are. Your token:"),
    input,
    h("button", { type: "submit", class: "main" }, "Log in"),
    problem,
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    say(problem, "");
    try {
      await rpc.$authenticate(input.value.trim());
      input.value = "";
    } catch (error) {
      say(problem, errorText(error));
      input.select();
    }
  });
  fill(place, form);
  rpc.$on("error", (error) => {
    if (/** @type {any} */ (error)?.code === UNAUTHENTICATED && place.hidden) {
      place.hidden = false;
      input.focus();
    }
  });
  rpc.$on("state", (state) => {
    place.hidden ||= state === "connected" || state === "resumed";
  });
}
