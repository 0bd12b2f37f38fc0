/** Python's source in colours. It only cuts the text into pieces: what it does not know stays plain. */

import { h } from "./dom.mjs";

const KEYWORDS =
  "False|None|True|and|as|assert|async|await|break|class|continue|def|del|elif|else|except|finally|for|from|global|if|" +
  "import|in|is|lambda|nonlocal|not|or|pass|raise|return|try|while|with|yield|match|case|self";

const PIECES = new RegExp(
  [
    "(?<comment>#[^\\n]*)",
    '(?<string>[rbfuRBFU]{0,2}(?:"""[^]*?(?:"""|$)|\'\'\'[^]*?(?:\'\'\'|$)|"(?:\\\\.|[^"\\\\\\n])*"?|\'(?:\\\\.|[^\'\\\\\\n])*\'?))',
    `(?<keyword>\\b(?:${KEYWORDS})\\b)`,
    "(?<decorator>@[\\w.]+)",
    "(?<number>\\b\\d[\\w.]*)",
  ].join("|"),
  "g",
);

/**
 * The pieces of a source text, each with its kind; "" for plain text.
 *
 * @param {string} text
 * @returns {{kind: string, text: string}[]}
 */
export function pieces(text) {
  /** @type {{kind: string, text: string}[]} */
  const found = [];
  let end = 0;
  for (const match of text.matchAll(PIECES)) {
    if (match.index > end) {
      found.push({ kind: "", text: text.slice(end, match.index) });
    }
    const [kind = ""] = Object.entries(match.groups ?? {}).find(([, part]) => part !== undefined) ?? [];
    found.push({ kind, text: match[0] });
    end = match.index + match[0].length;
  }
  if (end < text.length) {
    found.push({ kind: "", text: text.slice(end) });
  }
  return found;
}

/** @param {string} text @returns {(string | HTMLElement)[]} */
export function highlighted(text) {
  return pieces(text).map(({ kind, text: part }) => (kind ? h("span", { class: `py-${kind}` }, part) : part));
}
