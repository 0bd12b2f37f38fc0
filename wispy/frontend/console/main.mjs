/**
 * The console: a page for each object, by the fragment of the address (`#/sample`), the overview (`#/`), the log.
 *
 * Everything comes and goes over the page's one `rpc`: the console knows no more than any other page may.
 */

import { fill, h, part, say } from "./dom.mjs";
import { askWho } from "./login.mjs";
import { showLog } from "./log.mjs";
import { describe, objectPage } from "./object.mjs";
import { Overview, factsOf } from "./overview.mjs";
import { ratesOf } from "./rates.mjs";
import { errorText } from "./requests.mjs";

const POLL_MS = 2_000;
const NO_SUCH_METHOD = -32601;

/** @typedef {import("./rates.mjs").Status} Status */

const nav = part("objects");
const main = part("main");
const overview = new Overview();

/** @type {Status | null} */
let status = null;
let hasStatus = true; // until the server says that it has none
/** @type {import("./object.mjs").ObjectPage | null} */
let page = null;
/** @type {string[]} */
let objects = [];
let visits = 0; // a page that comes late is not the one that is wanted any more
/** Generation of each object's owner when its page was made: another one may serve other code. @type {number | undefined} */
let shownGeneration = undefined;

/** Says who owns the object that is shown. */
function showFacts() {
  const facts = page?.element.querySelector(".facts");
  const [name] = wanted();
  if (facts && status) {
    say(facts, factsOf(status.objects.find((each) => each.name === name), status.clock_ms));
  }
}

/** The path in the address. */
function wanted() {
  const parts = location.hash.replace(/^#\/?/, "").split("/").filter(Boolean);
  try {
    return parts.map(decodeURIComponent);
  } catch {
    return parts; // somebody's own percent signs
  }
}

/** @param {string} name */
const generationOf = (name) => status?.objects.find((each) => each.name === name)?.owner?.generation;

/** Shows what the address asks for. @param {boolean} [isMoved] the reader went there, and reads on from there */
async function visit(isMoved = false) {
  visits += 1;
  const mine = visits;
  const names = wanted();
  page?.close();
  page = null;
  document.title = `${names.join(".") || "Overview"} · wispy console`;
  markCurrent(names[0]);
  if (names.length === 0) {
    fill(main, overview.element);
    if (!hasStatus) {
      overview.refuse("This server does not say who is connected and who owns what (rpc.status).");
    }
  } else {
    fill(main, h("p", { class: "empty" }, `Asking ${names.join(".")} what it is…`));
    shownGeneration = generationOf(names[0] ?? "");
    const from = await describe(names);
    if (mine !== visits) {
      return;
    }
    page = objectPage(names, from);
    fill(main, page.element);
    showFacts();
  }
  if (isMoved) {
    main.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
}

/**
 * Shows the object anew if it is another one than the page says; else what somebody fills in just now stays. One that
 * nobody owns at present is not another one.
 */
async function visitIfChanged() {
  const [mine, names] = [visits, wanted()];
  shownGeneration = generationOf(names[0] ?? "");
  const from = names.length > 0 ? await describe(names) : null;
  const isAway = /** @type {any} */ (from?.error)?.retryable === true;
  const isOther = (from === null ? "" : JSON.stringify(from)) !== (page?.description ?? "");
  if (mine === visits && isOther && !isAway) {
    await visit();
  }
}

/** @param {string | undefined} name */
function markCurrent(name) {
  for (const link of nav.querySelectorAll("a")) {
    if (link.dataset.object === (name ?? "")) {
      link.setAttribute("aria-current", "page");
    } else {
      link.removeAttribute("aria-current");
    }
  }
}

/** Lists the objects, and how each of them is. @param {string[]} names */
function listObjects(names) {
  if (names.join() !== objects.join() || !nav.hasChildNodes()) {
    objects = names;
    const links = names.map((name) => {
      const attributes = { href: `#/${encodeURIComponent(name)}`, "data-object": name };
      return h("li", {}, h("a", attributes, h("span", {}, name), h("span", { class: "note" })));
    });
    const none = names.length === 0 && h("li", { class: "empty" }, "no object yet");
    const all = h("li", {}, h("a", { href: "#/", "data-object": "" }, "Overview"));
    fill(nav, h("h2", {}, "Objects"), h("ul", {}, ...links, none, all));
    markCurrent(wanted()[0]);
  }
  for (const { name, owner, queue } of status?.objects ?? []) {
    const link = [...nav.querySelectorAll("a")].find(({ dataset }) => dataset.object === name);
    const note = link?.querySelector(".note");
    if (note) {
      say(note, owner ? (queue?.length ? `${queue.length} waiting` : "") : "no owner");
      note.classList.toggle("failed", !owner);
    }
  }
}

/** The names of the objects, from a server without `rpc.status`. */
async function discovered() {
  const document = await rpc.$describe();
  return Object.keys(document["x-wispy"]?.attributes ?? {}).sort();
}

/** Asks how everything is. */
async function look() {
  if (!hasStatus) {
    listObjects(await discovered());
    return;
  }
  try {
    const before = status;
    status = /** @type {Status} */ (await rpc.rpc.status());
    overview.show(status, ratesOf(before, status));
    listObjects(status.objects.map(({ name }) => name).sort());
    showFacts();
  } catch (error) {
    if (/** @type {any} */ (error)?.code !== NO_SUCH_METHOD) {
      throw error;
    }
    hasStatus = false;
    await look();
    if (wanted().length === 0) {
      await visit();
    }
  }
  const [name] = wanted();
  if (name !== undefined && page && generationOf(name) !== shownGeneration) {
    await visitIfChanged();
  }
}

/** Looks again and again, while somebody sees it. */
async function keepLooking() {
  const isOpen = rpc.$state === "connected" || rpc.$state === "resumed";
  if (isOpen && !document.hidden) {
    try {
      await look();
    } catch (error) {
      reportToConsole(error);
    }
  }
  setTimeout(keepLooking, hasStatus ? POLL_MS : 5 * POLL_MS);
}

/** What a page's reader can do nothing about. @param {unknown} error */
function reportToConsole(error) {
  console.warn("wispy console: what is served cannot be asked for:", errorText(error));
}

/** What each state of the connection means to who looks at the page. @type {{[state: string]: string}} */
const STATES = {
  idle: "not connected",
  connecting: "connecting…",
  connected: "connected",
  resumed: "resumed",
  lost: "lost, connecting…",
  closed: "closed",
};

/** @param {string} state @param {string} [reason] */
function showState(state, reason = "") {
  const pill = part("state");
  say(pill, STATES[state] ?? state);
  pill.dataset.state = state;
  pill.title = reason;
  document.body.dataset.state = state;
}

async function start() {
  showLog(part("log"));
  askWho(part("login"));
  rpc.$on("state", (state, { reason }) => {
    showState(state, reason);
    if (state === "connected" && visits > 0) {
      void look().then(visitIfChanged, reportToConsole); // a new session: the server may be another one
    }
  });
  showState("connecting");
  part("skip").addEventListener("click", (event) => {
    event.preventDefault(); // the address says which object is shown, and nothing else
    main.focus();
  });
  addEventListener("hashchange", () => void visit(true));
  await rpc.$connect();
  await look().catch((error) => fill(main, h("p", { class: "result failed", role: "alert" }, errorText(error))));
  const [first] = objects;
  if (location.hash === "" && first !== undefined) {
    history.replaceState(null, "", `#/${encodeURIComponent(first)}`);
  }
  await visit();
  setTimeout(keepLooking, POLL_MS);
}

void start();
