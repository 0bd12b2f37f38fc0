/** The methods of an object: each with its signature and documentation, a form that calls it, and its source. */

import { bind, callText } from "./arguments.mjs";
import { announce, fill, h, prose, say } from "./dom.mjs";
import { EMPTY, field } from "./fields.mjs";
import { highlighted } from "./python.mjs";
import { at, errorText, perform } from "./requests.mjs";
import { shortType } from "./schema.mjs";
import { duration, inline, spread } from "./values.mjs";

/**
 * @typedef {import("./arguments.mjs").Param} Param
 * @typedef {{name: string, signature: string, params: Param[], async: boolean, idempotent: boolean, doc: string}} Method
 */

/** @param {string[]} names of the object @param {Method[]} methods */
export function methodsSection(names, methods) {
  const cards = methods.map((method) => methodCard(names, method));
  const body = cards.length > 0 ? cards : [h("p", { class: "empty" }, "It has no methods that a page may call.")];
  return h("section", { class: "methods", "aria-labelledby": "methods" }, h("h2", { id: "methods" }, "Methods"), ...body);
}

/** @param {string[]} names @param {Method} method */
function methodCard(names, method) {
  const { name, doc } = method;
  const [summary, ...rest] = doc.split("\n");
  const signature = h("code", { class: "signature" }, ...signatureParts(method));
  const head = h("summary", {}, signature, h("span", {}, ...prose(summary ?? "")));
  const card = h("details", { class: "card method", "data-method": name }, head);
  card.addEventListener("toggle", () => {
    if (card.open && card.children.length === 1) { // built when somebody looks: an object may have hundreds
      const more = rest.join("\n").trim();
      const text = more && h("p", { class: "doc" }, ...prose(more));
      card.append(h("div", { class: "inside" }, text, callForm(names, method), source(names, name)));
    }
  });
  return card;
}

/** @param {Method} method */
function signatureParts({ name, signature, async: isAsync }) {
  const text = shortType(signature);
  return [isAsync && h("span", { class: "soft" }, "async "), h("b", {}, name), text.slice(name.length)];
}

/** @param {string[]} names @param {Method} method */
function callForm(names, { name, params }) {
  const fields = new Map(params.map((param) => [param.name, paramField(param)]));
  const run = h("button", { type: "submit", class: "main" }, "Call");
  const cancel = h("button", { type: "button", hidden: true }, "Cancel");
  const answer = h("div", { class: "answer" });
  const form = h(
    "form",
    { "aria-label": `Call ${name}`, novalidate: true },
    h("div", { class: "fields" }, ...[...fields.values()].map(({ element }) => element)),
    h("div", { class: "buttons" }, run, cancel),
    answer,
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const call = filledIn(params, fields, answer);
    if (!call || !cancel.hidden) {
      return;
    }
    const stop = new AbortController();
    cancel.onclick = () => stop.abort();
    cancel.hidden = false;
    run.setAttribute("aria-disabled", "true");
    fill(answer, h("p", { class: "soft" }, "running…"));
    try {
      const text = callText([...names, name].join("."), call, (value) => inline(value, 60));
      const object = at(names, { signal: stop.signal });
      const { value, ms } = await perform(text, () => object.$call(name, call.args, call.kwargs));
      fill(answer, resultOf(value, ms));
      announce(`${name} returned ${inline(value, 100)}`);
    } catch (error) {
      fill(answer, problemOf(error));
    }
    cancel.hidden = true;
    run.removeAttribute("aria-disabled");
  });
  return form;
}

/** @param {Param} param */
function paramField(param) {
  const { name, kind, required, type } = param;
  if (kind === "var_positional") {
    const all = { schema: { type: "array" }, type: `list of ${type ?? "values"}`, fallback: "[]" };
    return field({ name, label: `*${name}`, required: false, ...all });
  }
  if (kind === "var_keyword") {
    const all = { schema: { type: "object" }, type: "values by name", fallback: "{}" };
    return field({ name, label: `**${name}`, required: false, ...all });
  }
  const fallback = "default" in param ? inline(param.default) : required ? undefined : "default";
  return field({ name, schema: param.schema, type, required, ...(fallback && { fallback }) });
}

/**
 * The arguments in the fields; null, and the fields say why, where they cannot be sent.
 *
 * @param {Param[]} params
 * @param {Map<string, import("./fields.mjs").Field>} fields
 * @param {HTMLElement} answer
 */
function filledIn(params, fields, answer) {
  const given = new Map();
  /** @type {HTMLElement | null} */
  let wrong = null;
  for (const [name, each] of fields) {
    try {
      const value = each.read();
      if (value !== EMPTY) {
        given.set(name, value);
      }
      each.complain("");
    } catch (error) {
      each.complain(errorText(error));
      wrong ??= each.input;
    }
  }
  if (wrong) {
    wrong.focus();
    return null;
  }
  try {
    return bind(params, given);
  } catch (error) {
    fill(answer, problemOf(error));
    return null;
  }
}

/** @param {unknown} value @param {number} ms */
function resultOf(value, ms) {
  return h(
    "div",
    { class: "result" },
    h("p", {}, h("b", {}, "Result"), h("span", { class: "soft" }, ` after ${duration(ms)}`)),
    h("pre", { tabindex: "0", "aria-label": "Result" }, spread(value)),
  );
}

/** What became of the request, in words. @type {{[executed: string]: string}} */
const EXECUTED = { no: "It did not run.", maybe: "It may have run.", yes: "It ran." };

/** @param {any} error */
export function problemOf(error) {
  const executed = EXECUTED[error?.executed] ?? "";
  const again = error?.retryable ? "Trying again may help." : "";
  const code = error?.code === undefined ? "" : `Code ${error.code}.`;
  return h(
    "div",
    { class: "result failed", role: "alert" },
    h("p", {}, h("b", {}, "Error"), " ", errorText(error)),
    h("p", { class: "soft" }, [executed, again, code].filter(Boolean).join(" ")),
    typeof error?.data?.traceback === "string" && h("pre", { tabindex: "0", "aria-label": "Traceback" }, error.data.traceback),
  );
}

/** @param {string[]} names @param {string} name */
export function source(names, name) {
  const body = h("div", {});
  const box = h("details", { class: "source" }, h("summary", {}, "Source"), body);
  box.addEventListener("toggle", async () => {
    if (box.open && !body.hasChildNodes()) {
      say(body, "…");
      try {
        const text = await at(names).$source(name);
        fill(body, h("pre", { tabindex: "0", "aria-label": `Source of ${name}` }, ...highlighted(text)));
      } catch (error) {
        fill(body, h("p", { class: "soft" }, `The source is not shown: ${errorText(error)}`));
      }
    }
  });
  return box;
}
