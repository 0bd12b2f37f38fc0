/**
 * A client of the chaos run in Node: `node node_client.mjs URL NAME SEED OUTPUT`. Writes what it saw to OUTPUT, a JSON
 * array a line. SIGTERM: no more calls, and it ends once those it made have their answers and it has seen the last value.
 */
import { appendFileSync } from "node:fs";
import { createRpc } from "../../wispyjs/rpc.mjs";

const [url, name, seed, output] = process.argv.slice(2);
const CALLERS = 3;
const TIMEOUT_MS = 8000;
const PAUSE_MS = 40;
const FINAL_MS = 15_000; // how long it waits for the last value

let random = Number(seed);
/** mulberry32: random numbers from a seed. */
function chance() {
  random = (random + 0x6d2b79f5) | 0;
  let t = Math.imul(random ^ (random >>> 15), 1 | random);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
}

let lines = [];
const write = (...row) => lines.push(JSON.stringify(row));
const flush = () => {
  if (lines.length) appendFileSync(output, lines.join("\n") + "\n");
  lines = [];
};
setInterval(flush, 200);

const rpc = createRpc(url);
const { ledger } = rpc;
rpc.$on("state", (state) => write("state", typeof state === "string" ? state : state.state));
rpc.$on("error", () => {}); // each call below has its own catch
let tick = null;
ledger.$channel("tick").subscribe((value) => {
  tick = value;
  write("tick", value);
});
ledger.$channel("news").subscribe((value) => write("news", value), {
  onGap: ({ from, to }) => write("gap", from, to),
});

let isOver = false;
let last = 0;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function call() {
  while (!isOver) {
    const key = `${name}-${++last}`;
    write("sent", key);
    try {
      const dice = chance();
      const method = ledger[dice < 0.8 ? "note" : dice < 0.9 ? "note_later" : "note_in_thread"];
      const more = dice >= 0.8 && dice < 0.9 ? [Math.round(chance() * 300) / 1000] : [];
      const result = await method.$options({ timeout: TIMEOUT_MS })(key, ...more);
      write("answered", key, result === key ? "yes" : "wrong", "result");
    } catch (error) {
      write("answered", key, error.executed ?? "none", String(error.code ?? error));
    }
    await pause(chance() * 2 * PAUSE_MS);
  }
}

const callers = Array.from({ length: CALLERS }, call);

process.on("SIGTERM", async () => {
  isOver = true;
  await Promise.all(callers);
  const deadline = Date.now() + FINAL_MS;
  const final = JSON.stringify(await ledger.tick.catch(() => null));
  while (JSON.stringify(tick) !== final && Date.now() < deadline) await pause(50);
  flush();
  process.exit(0);
});
