/** What test_node_client.py runs in Node: `node node_client.mjs WEBSOCKET_URL`. Prints what it saw as one line of JSON. */
import { createRpc } from "../../../wispyjs/rpc.mjs";

const rpc = createRpc(process.argv[2]);
const { sample } = rpc;
const seen = {};

/** Waits until the newest update of a channel is this value. */
function update(channel, value) {
  return new Promise((resolve) => {
    const stop = sample.$channel(channel).subscribe((current) => {
      if (current === value) {
        stop();
        resolve(current);
      }
    });
  });
}

const errorOf = (promise) =>
  promise.then(
    () => "no error",
    ({ name, code, executed, retryable, data }) => ({ name, code, executed, retryable, type: data?.type ?? null }),
  );

seen.channels = (await sample.rpcWebsocket.listChannels()).sort();
seen.sum = await sample.test_sum(4, 5);
seen.kwargs = await sample.test_sum.$call([4], { b: 6 });
sample.a = 2; // as in the quickstart: not awaited, and still before what follows
seen.read = await sample.a;

const told = update("a", 3);
sample.a = 3;
seen.told = await told;
delete sample.a;
seen.deleted = await sample.a;

await sample.$set("a", { big: 2n ** 64n, odd: [NaN, -Infinity], tag: { $int: "5" } });
const { big, odd, tag } = await sample.a;
seen.exact = [big === 2n ** 64n, Number.isNaN(odd[0]) && odd[1] === -Infinity, tag.$int === "5"];

seen.exception = await errorOf(sample.test_sum(1, "x"));
seen.absent = await errorOf(sample.$get("nowhere"));
seen.arguments = await errorOf(sample.test_sum(1));
seen.timeout = await errorOf(sample.$options({ timeout: 50 }).wait(30));
const leaving = new AbortController();
const left = sample.$options({ signal: leaving.signal }).wait(30);
leaving.abort(new Error("changed my mind"));
seen.aborted = await left.catch((error) => error.message);

const unheard = new Promise((resolve) => rpc.$on("error", (error) => resolve(error.name)));
sample.test_sum = 1; // a method cannot be set, and nobody awaits
seen.reported = await unheard;

const many = await Promise.all(Array.from({ length: 500 }, (_, index) => sample.test_sum(index, 1)));
seen.many = many.every((value, index) => value === index + 1);
seen.described = (await rpc.$describe()).openrpc;

rpc.$close();
console.log(JSON.stringify(seen));
