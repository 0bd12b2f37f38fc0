/** Requests: order, ids, acknowledgement, limits, giving up, and what a lost connection means for them. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { Lab, failure, settled } from "./support.mjs";

test("hello comes first, requests wait for its answer and leave in order", async (t) => {
  const lab = new Lab(t);
  lab.saysHello = false;
  const first = lab.rpc.sample.test_sum(4, 5);
  const second = lab.rpc.sample.$get("a");
  assert.equal(lab.sockets.length, 1);
  lab.socket.open();
  assert.deepEqual(lab.socket.received, []);
  assert.match(lab.socket.hello.params.client, /^wispyjs\//);
  lab.socket.welcome();
  assert.deepEqual(lab.socket.methods, ["sample.test_sum", "rpc.get"]);
  const [sum, get] = lab.socket.received;
  lab.socket.answer(get, 7);
  lab.socket.answer(sum, 9);
  assert.deepEqual(await Promise.all([first, second]), [9, 7]);
});

test("ids rise, ack follows the oldest unanswered id, the stamp is the server's clock", (t) => {
  const lab = new Lab(t);
  const socket = lab.connect();
  lab.now += 1_234.9;
  for (let i = 0; i < 3; i += 1) {
    lab.rpc.sample.f(i);
  }
  const [one, two, three] = socket.received;
  assert.deepEqual([one.id, two.id, three.id], [2, 3, 4]);
  assert.deepEqual(one.wispy, { ack: 1, at: 1_001_234 });
  assert.equal(three.wispy.ack, 1);
  socket.answer(two, null);
  lab.rpc.sample.f();
  assert.equal(socket.last.wispy.ack, 1);
  socket.answer(one, null);
  lab.rpc.sample.f();
  assert.equal(socket.last.wispy.ack, 3);
});

test("far behind the newest id, what is open is named, and the rest acknowledged", (t) => {
  const lab = new Lab(t);
  const socket = lab.connect();
  lab.rpc.sample.slow();
  const slow = socket.last;
  for (let i = 0; i < 300; i += 1) {
    lab.rpc.sample.f();
    socket.answer(socket.last, null);
  }
  assert.equal(socket.received[100].wispy.open, undefined);
  assert.deepEqual(socket.last.wispy.open, [slow.id]);
  assert.equal(socket.last.wispy.ack, socket.last.id - 1);
});

test("rpc.clock sets the clock anew", (t) => {
  const lab = new Lab(t);
  const socket = lab.connect();
  socket.notify("rpc.clock", { run: "r2", ms: 77 });
  lab.rpc.sample.f();
  assert.equal(socket.last.wispy.at, 77);
});

test("one place less than the server's bound is used, and each answer lets the next request leave", (t) => {
  const lab = new Lab(t);
  lab.hello = { limits: { in_flight: 3 } };
  const socket = lab.connect();
  for (let i = 0; i < 4; i += 1) {
    lab.rpc.sample.f(i);
  }
  assert.deepEqual(socket.received.map(({ params }) => params), [[0], [1]]);
  socket.answer(socket.received[0], null);
  assert.deepEqual(socket.last.params, [2]);
});

test("the queue is bounded", async (t) => {
  const lab = new Lab(t);
  const waiting = Array.from({ length: 10_000 }, () => failure(lab.rpc.sample.f()));
  const error = await failure(lab.rpc.sample.f());
  assert.deepEqual([error.code, error.executed, error.retryable], [-32004, "no", true]);
  lab.rpc.$close();
  await Promise.all(waiting);
});

test("what rests until it is repeated counts, too", async (t) => {
  const lab = new Lab(t);
  const socket = lab.connect();
  const read = lab.rpc.sample.$get("a");
  socket.refuse(socket.last, -32004, { retryable: true });
  socket.lose();
  const waiting = Array.from({ length: 9_999 }, () => failure(lab.rpc.sample.f()));
  const refused = await Promise.race([failure(lab.rpc.sample.f()), settled()]);
  assert.equal(refused?.code, -32004);
  lab.rpc.$close();
  await Promise.all([failure(read), ...waiting]);
});

test("an error of the server carries its code and data", async (t) => {
  const lab = new Lab(t);
  const socket = lab.connect();
  const failed = failure(lab.rpc.sample.f());
  socket.refuse(socket.last, -32000, { executed: "yes", type: "ValueError", args: ["bad"] }, "ValueError: bad");
  const error = await failed;
  assert.ok(error instanceof wispyjs.RpcError && error instanceof Error);
  assert.deepEqual([error.name, error.code, error.message], ["RpcError", -32000, "ValueError: bad"]);
  assert.deepEqual([error.executed, error.retryable, error.data.type], ["yes", false, "ValueError"]);
});

test("who asks too often waits as long as he is told, and asks again", async (t) => {
  const lab = new Lab(t);
  const socket = lab.connect();
  const called = lab.rpc.sample.f();
  const first = socket.last;
  socket.refuse(first, -32010, { executed: "no", retryable: true, retry_in_ms: 5000 }, "too often");
  lab.pass(4900);
  assert.equal(socket.last.id, first.id);
  lab.pass(200);
  assert.ok(socket.last.id > first.id);
  socket.answer(socket.last, "done");
  assert.equal(await called, "done");
});

test("a lost session: what was sent is maybe executed, what waited leaves in the next one", async (t) => {
  const lab = new Lab(t);
  lab.hello = { limits: { in_flight: 2 } };
  const socket = lab.connect();
  const sent = failure(lab.rpc.sample.f("sent"));
  const waiting = lab.rpc.sample.f("waiting");
  socket.lose();
  lab.pass(400);
  assert.equal(lab.sockets.length, 2);
  lab.socket.open();
  const error = await sent;
  assert.deepEqual([error.code, error.executed, error.retryable], [-32006, "maybe", false]);
  assert.match(error.message, /does not know the session any more, before sample\.f was answered/);
  assert.deepEqual(lab.socket.received.map(({ params }) => params), [["waiting"]]);
  assert.ok(lab.socket.last.id > socket.last.id);
  lab.socket.answer(lab.socket.last, "done");
  assert.equal(await waiting, "done");
});

test("an answer of the old connection is not heard any more", async (t) => {
  const lab = new Lab(t);
  const socket = lab.connect();
  const sent = failure(lab.rpc.sample.f());
  socket.lose();
  assert.ok(socket.isClosed);
  socket.answer(socket.last, 1);
  lab.rpc.$close();
  assert.equal((await sent).executed, "maybe");
  assert.deepEqual(lab.errors, []);
});

test("what could not be sent for 30 s was not executed", async (t) => {
  const lab = new Lab(t);
  const early = failure(lab.rpc.sample.f());
  lab.pass(20_000);
  const late = failure(lab.rpc.sample.f());
  lab.pass(16_000);
  const error = await early;
  assert.deepEqual([error.executed, error.retryable], ["no", true]);
  assert.match(error.message, /sample\.f was not sent: there was no connection for 30 s/);
  lab.socket.open();
  assert.equal(lab.socket.received.length, 1);
  lab.rpc.$close();
  assert.equal((await late).executed, "maybe");
});

test("what waits for a place on a busy connection is not too old", (t) => {
  const lab = new Lab(t);
  lab.hello = { limits: { in_flight: 2 } };
  const socket = lab.connect();
  lab.rpc.sample.f("long");
  lab.rpc.sample.f("patient");
  const [long] = socket.received;
  for (let i = 0; i < 4; i += 1) {
    lab.pass(20_000);
    socket.notify("rpc.update", { channel: "other.a", value: 1, at: "e:1" });
  }
  socket.answer(long, null);
  assert.deepEqual(socket.last.params, ["patient"]);
});

test("a time-out ends a request that waits with no, one that was sent with maybe and a cancel", async (t) => {
  const lab = new Lab(t);
  const { sample } = lab.rpc.$options({ timeout: 300 });
  const waiting = failure(sample.f());
  lab.pass(300);
  assert.deepEqual([(await waiting).code, (await waiting).executed], [-32002, "no"]);
  lab.socket.open();
  assert.deepEqual(lab.socket.received, []);
  const sent = failure(sample.f(1));
  assert.deepEqual(lab.socket.last.params, { path: "sample.f", args: [1], timeout_s: 0.3 });
  const { id } = lab.socket.last;
  lab.pass(300);
  assert.deepEqual([(await sent).code, (await sent).executed], [-32003, "maybe"]);
  assert.deepEqual(lab.socket.last, { jsonrpc: "2.0", method: "rpc.cancel", params: { id } });
  lab.rpc.sample.g();
  assert.equal(lab.socket.last.wispy.ack, id - 1); // given up, yet not answered
  lab.socket.answer({ id }, "late");
  assert.deepEqual(lab.errors, []);
});

test("an abort rejects at once with the signal's reason", async (t) => {
  const lab = new Lab(t);
  const controller = new AbortController();
  const { sample } = lab.rpc.$options({ signal: controller.signal });
  const waiting = failure(sample.f());
  const reason = new Error("the user left");
  const socket = lab.connect();
  const { id } = socket.last;
  controller.abort(reason);
  assert.equal(await waiting, reason);
  assert.deepEqual(socket.last.params, { id });
  assert.equal(await failure(sample.f()), reason);
  assert.equal(socket.methods.at(-1), "rpc.cancel"); // nothing more was sent
  const byDefault = failure(lab.rpc.$options({ signal: AbortSignal.abort() }).sample.f());
  assert.equal((await byDefault).name, "AbortError");
});

test("what is given up while there is no connection is not sent on the next one", async (t) => {
  const lab = new Lab(t);
  const controller = new AbortController();
  const socket = lab.connect();
  const given = failure(lab.rpc.$options({ signal: controller.signal }).sample.f());
  socket.lose();
  controller.abort();
  assert.equal((await given).name, "AbortError");
  lab.hello = { resumed: true };
  lab.pass(400);
  lab.socket.open();
  assert.equal(lab.rpc.$state, "resumed");
  lab.rpc.sample.g();
  assert.deepEqual(lab.socket.methods, ["sample.g"]);
});

test("an abort takes a waiting request out of the queue", async (t) => {
  const lab = new Lab(t);
  const controller = new AbortController();
  const waiting = failure(lab.rpc.sample.$options({ signal: controller.signal }).f());
  controller.abort();
  assert.equal((await waiting).name, "AbortError");
  lab.connect();
  assert.deepEqual(lab.socket.received, []);
});

test("a message beyond the server's limit is refused here, and the connection lives", async (t) => {
  const lab = new Lab(t);
  const socket = lab.connect();
  const error = await failure(lab.rpc.sample.f("€".repeat(4_000)));
  assert.deepEqual([error.code, error.executed, error.retryable], [-32008, "no", false]);
  assert.deepEqual(socket.received, []);
  lab.rpc.sample.f("x".repeat(8_000)); // ASCII is not counted threefold
  assert.equal(socket.received.length, 1);
});

test("the limit holds with all that wispy adds to a message", (t) => {
  const lab = new Lab(t);
  lab.hello = { limits: { in_flight: 300, message_bytes: 10_000 }, run: "r".repeat(40) };
  const socket = lab.connect();
  for (let i = 0; i < 1_300; i += 1) {
    lab.rpc.other.f();
    i < 1_001 && socket.answer(socket.last, null); // ids have some digits
  }
  const lengths = [];
  const { send } = socket;
  socket.send = (text) => lengths.push(new TextEncoder().encode(text).length) && send.call(socket, text);
  socket.answer(socket.last, null);
  let length = 8_000; // the longest that is not refused here
  for (const step of [1_000, 100, 10, 1]) {
    for (let sent = true; sent; length += sent ? step : 0) {
      const { length: before } = lengths;
      lab.rpc.sample.f("x".repeat(length + step)).catch(() => {});
      sent = lengths.length > before;
      sent && socket.answer(socket.last, null);
    }
  }
  assert.equal(socket.last.wispy.open.length, 64);
  assert.ok(Math.max(...lengths) <= 10_000, `the longest was ${Math.max(...lengths)}`);
});

test("params are what they were when the request was made", (t) => {
  const lab = new Lab(t);
  const list = [1];
  lab.rpc.sample.f(list);
  list.push(2);
  lab.connect();
  assert.deepEqual(lab.socket.last.params, [[1]]);
});

test("a message that cannot be understood is reported and breaks nothing", async (t) => {
  const lab = new Lab(t);
  const socket = lab.connect();
  socket.onmessage({ data: "{" });
  socket.say({ id: 99, result: 1 });
  socket.say({ id: null, error: { code: -32700, message: "bad JSON" } });
  assert.equal(lab.errors.length, 3);
  assert.match(lab.errors[2].error.message, /bad JSON/);
  const answered = lab.rpc.sample.f();
  socket.answer(socket.last, 1);
  assert.equal(await answered, 1);
});

test("after $close requests are refused, and $connect opens again", async (t) => {
  const lab = new Lab(t);
  lab.connect();
  const sent = failure(lab.rpc.sample.f());
  lab.rpc.$close();
  assert.equal((await sent).executed, "maybe");
  assert.equal(lab.rpc.$state, "closed");
  assert.ok(lab.socket.isClosed);
  assert.equal((await failure(lab.rpc.sample.f())).executed, "no");
  assert.equal(lab.sockets.length, 1);
  lab.connect();
  await settled();
  assert.equal(lab.rpc.$state, "connected");
});

test("without a server's address the error says what to do", async (t) => {
  const lab = new Lab(t, { url: undefined });
  const { rpc } = globalThis;
  const error = await failure(rpc.sample.f());
  assert.match(error.message, /rpc\.\$connect/);
  assert.equal(lab.sockets.length, 0);
});
