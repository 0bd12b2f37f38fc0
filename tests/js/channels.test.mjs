/** Channels: subscribing, current values, updates, gaps, and going on after a lost connection. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { Lab, failure, settled } from "./support.mjs";

const VALUE = { "sample.a": { value: 1, at: "e:1" } };

/** A handler that remembers what it was called with. */
function recorder() {
  const calls = [];
  const handler = (...args) => void calls.push(args);
  return Object.assign(handler, { calls });
}

test("listChannels gives the names without the object's", async (t) => {
  const lab = new Lab(t);
  const socket = lab.connect();
  const names = lab.rpc.sample.rpcWebsocket.listChannels();
  assert.deepEqual(socket.last.params, { object: "sample" });
  socket.answer(socket.last, { "sample.a": "value", "sample.alarm.high": "event" });
  assert.deepEqual(await names, ["a", "alarm.high"]);
});

test("with true a handler gets the current value, then each update; without, only updates", async (t) => {
  const lab = new Lab(t);
  const socket = lab.connect();
  const [now, later] = [recorder(), recorder()];
  lab.rpc.sample.rpcWebsocket.addChannelHandlers({ a: now }, true);
  const added = lab.rpc.sample.rpcWebsocket.addChannelHandlers({ a: later });
  assert.deepEqual(socket.methods, ["rpc.subscribe"]); // once, however many handlers
  assert.deepEqual(socket.last.params, { channels: ["sample.a"] });
  socket.answer(socket.last, VALUE);
  await added;
  assert.deepEqual([now.calls, later.calls], [[[1, "a"]], []]);
  socket.notify("rpc.update", { channel: "sample.a", value: 2, at: "e:2" });
  assert.deepEqual([now.calls.at(-1), later.calls.at(-1)], [[2, "a"], [2, "a"]]);
});

test("several channels are subscribed in one message", (t) => {
  const lab = new Lab(t);
  lab.rpc.sample.rpcWebsocket.addChannelHandlers({ a: recorder(), b: recorder() }, true);
  lab.socket.open();
  assert.deepEqual(lab.socket.received.map(({ params }) => params.channels), [["sample.a", "sample.b"]]);
});

test("a handler that joins a live channel gets the newest value, once", async (t) => {
  const lab = new Lab(t);
  const socket = lab.connect();
  lab.rpc.sample.rpcWebsocket.addChannelHandlers({ a: recorder() });
  socket.answer(socket.last, VALUE);
  await settled();
  const [joined, overtaken] = [recorder(), recorder()];
  lab.rpc.sample.rpcWebsocket.addChannelHandlers({ a: joined }, true);
  await settled();
  assert.deepEqual(joined.calls, [[1, "a"]]);
  lab.rpc.sample.rpcWebsocket.addChannelHandlers({ a: overtaken }, true);
  socket.notify("rpc.update", { channel: "sample.a", value: 2, at: "e:2" });
  await settled();
  assert.deepEqual(overtaken.calls, [[2, "a"]]);
  assert.equal(socket.received.length, 1);
});

test("updates that follow the answer in the same turn come after it", (t) => {
  const lab = new Lab(t);
  const socket = lab.connect();
  const handler = recorder();
  lab.rpc.sample.rpcWebsocket.addChannelHandlers({ a: handler }, true);
  socket.answer(socket.last, VALUE);
  socket.notify("rpc.update", { channel: "sample.a", value: 2, at: "e:2" });
  assert.deepEqual(handler.calls, [[1, "a"], [2, "a"]]);
});

test("a handler that throws is reported and does not stop the others", (t) => {
  const lab = new Lab(t);
  const socket = lab.connect();
  const other = recorder();
  const trouble = new Error("handler");
  lab.rpc.sample.rpcWebsocket.addChannelHandlers({ a: () => { throw trouble; } }, true);
  lab.rpc.sample.rpcWebsocket.addChannelHandlers({ a: other }, true);
  socket.answer(socket.last, VALUE);
  assert.deepEqual(other.calls, [[1, "a"]]);
  assert.deepEqual(lab.errors, [{ error: trouble, what: "a handler of channel sample.a failed" }]);
});

test("a handler that another one has removed is not called any more", (t) => {
  const lab = new Lab(t);
  const socket = lab.connect();
  const heard = [];
  lab.rpc.sample.$channel("a").subscribe((value) => value === 2 && stop());
  const stop = lab.rpc.sample.$channel("a").subscribe((value) => heard.push(value));
  socket.answer(socket.last, { "sample.a": { value: 1, at: "e:1" } });
  socket.notify("rpc.update", { channel: "sample.a", value: 2, at: "e:2" });
  assert.deepEqual(heard, [1]);
});

test("when the last handler is removed the channel is left, and its updates are not heard", (t) => {
  const lab = new Lab(t);
  const socket = lab.connect();
  const [one, two] = [recorder(), recorder()];
  const { rpcWebsocket } = lab.rpc.sample;
  rpcWebsocket.addChannelHandlers({ a: one });
  rpcWebsocket.addChannelHandlers({ a: two });
  socket.answer(socket.last, VALUE);
  rpcWebsocket.removeChannelHandlers({ a: one });
  socket.notify("rpc.update", { channel: "sample.a", value: 2, at: "e:2" });
  assert.equal(socket.methods.at(-1), "rpc.subscribe");
  rpcWebsocket.removeChannelHandlers("a");
  assert.deepEqual([socket.last.method, socket.last.params], ["rpc.unsubscribe", { channels: ["sample.a"] }]);
  socket.notify("rpc.update", { channel: "sample.a", value: 3, at: "e:3" });
  assert.deepEqual([one.calls, two.calls], [[], [[2, "a"]]]);
});

test("who subscribes does not wait for a channel that is left before it was confirmed", async (t) => {
  const lab = new Lab(t);
  const socket = lab.connect();
  const added = lab.rpc.sample.rpcWebsocket.addChannelHandlers({ a: recorder() });
  lab.rpc.sample.rpcWebsocket.removeChannelHandlers("a");
  assert.deepEqual(socket.methods, ["rpc.subscribe", "rpc.unsubscribe"]);
  assert.equal(await Promise.race([added, settled().then(() => "it waits")]), undefined);
});

test("after leaving and joining again, what the first subscription still sends is not heard", (t) => {
  const lab = new Lab(t);
  const socket = lab.connect();
  const handler = recorder();
  const { rpcWebsocket } = lab.rpc.sample;
  rpcWebsocket.addChannelHandlers({ a: handler });
  const first = socket.last;
  rpcWebsocket.removeChannelHandlers(["a"]);
  rpcWebsocket.addChannelHandlers({ a: handler }, true);
  socket.answer(first, VALUE);
  socket.notify("rpc.update", { channel: "sample.a", value: 2, at: "e:2" });
  assert.deepEqual(handler.calls, []);
  socket.answer(socket.last, { "sample.a": { value: 2, at: "e:2" } });
  assert.deepEqual(handler.calls, [[2, "a"]]);
});

test("a lost connection: subscribed again before requests, since the last position", (t) => {
  const lab = new Lab(t);
  const socket = lab.connect();
  const handler = recorder();
  lab.rpc.sample.rpcWebsocket.addChannelHandlers({ a: handler });
  socket.answer(socket.last, VALUE);
  socket.notify("rpc.update", { channel: "sample.a", value: 2, at: "e:2" });
  socket.lose();
  lab.rpc.sample.f();
  lab.pass(400);
  lab.socket.open();
  assert.deepEqual(lab.socket.methods, ["rpc.subscribe", "sample.f"]);
  const [subscribe] = lab.socket.received;
  assert.deepEqual(subscribe.params, { channels: ["sample.a"], since: { "sample.a": "e:2" } });
  lab.socket.answer(subscribe, { "sample.a": { value: 2, at: "e:2" } });
  assert.equal(handler.calls.length, 1); // nothing was missed
});

test("what a value channel missed while the connection was lost is an update", (t) => {
  const lab = new Lab(t);
  const socket = lab.connect();
  const handler = recorder();
  lab.rpc.sample.rpcWebsocket.addChannelHandlers({ a: handler });
  socket.answer(socket.last, VALUE);
  socket.lose();
  lab.pass(400);
  lab.socket.open();
  lab.socket.answer(lab.socket.last, { "sample.a": { value: 5, at: "f:9" } });
  assert.deepEqual(handler.calls, [[5, "a"]]);
});

test("an event channel goes on from its own position, not from the head that the answer names", (t) => {
  const lab = new Lab(t);
  const event = (value, at) => lab.socket.notify("rpc.update", { channel: "sample.alarm", value, at });
  const reconnect = (head) => {
    lab.socket.lose();
    lab.pass(2_000);
    lab.socket.open();
    const { since } = lab.socket.last.params;
    lab.socket.answer(lab.socket.last, { "sample.alarm": { at: head } });
    return since["sample.alarm"];
  };
  const handler = recorder();
  lab.connect();
  lab.rpc.sample.$channel("alarm").subscribe(handler);
  lab.socket.answer(lab.socket.last, { "sample.alarm": { at: "e:4" } });
  assert.deepEqual(handler.calls, []);
  assert.equal(reconnect("e:7"), "e:4");
  event("five", "e:5");
  assert.equal(reconnect("e:8"), "e:5");
  assert.equal(lab.rpc.sample.$channel("alarm").value, undefined);
});

test("a gap is told to the channel's listener and to all, and the position moves beyond it", (t) => {
  const lab = new Lab(t);
  const socket = lab.connect();
  const gaps = [];
  lab.rpc.sample.$channel("alarm").subscribe(recorder(), { onGap: (gap) => gaps.push(gap) });
  socket.answer(socket.last, { "sample.alarm": { at: "e:1" } });
  const gap = { channel: "sample.alarm", from: "e:2", to: "e:5" };
  socket.notify("rpc.gap", gap);
  assert.deepEqual([gaps, lab.gaps], [[gap], [gap]]);
  socket.lose();
  lab.pass(400);
  lab.socket.open();
  assert.deepEqual(lab.socket.last.params.since, { "sample.alarm": "e:5" });
});

test("$channel subscribes with the current value, knows it, and stops", async (t) => {
  const lab = new Lab(t);
  const socket = lab.connect();
  const [handler, later] = [recorder(), recorder()];
  const channel = lab.rpc.sample.$channel("a");
  const stop = channel.subscribe(handler);
  channel.subscribe(later, { current: false });
  socket.answer(socket.last, VALUE);
  assert.deepEqual([channel.name, channel.value, handler.calls, later.calls], ["sample.a", 1, [[1, "a"]], []]);
  stop();
  socket.notify("rpc.update", { channel: "sample.a", value: 2, at: "e:2" });
  assert.deepEqual([handler.calls.length, later.calls, channel.value], [1, [[2, "a"]], 2]);
});

test("a wrong name rejects, and is not asked for again", async (t) => {
  const lab = new Lab(t);
  const socket = lab.connect();
  const added = failure(lab.rpc.sample.rpcWebsocket.addChannelHandlers({ nope: recorder() }));
  const error = { code: -32001, message: "no channel", data: { executed: "no", retryable: false } };
  socket.answer(socket.last, { "sample.nope": { error } });
  assert.equal((await added).code, -32001);
  lab.rpc.sample.$channel("nope").subscribe(recorder());
  socket.answer(socket.last, { "sample.nope": { error } });
  await settled();
  assert.equal(lab.errors[0].what, "subscribing to sample.nope failed");
  lab.pass(60_000);
  assert.equal(socket.methods.filter((method) => method === "rpc.subscribe").length, 2);
});

test("a refusal that may pass is tried again, and so is any of a channel that has worked", async (t) => {
  const lab = new Lab(t);
  const handler = recorder();
  const added = lab.rpc.sample.rpcWebsocket.addChannelHandlers({ a: handler }, true);
  lab.socket.open();
  const refusal = (retryable) => ({ error: { code: -32005, message: "no owner", data: { retryable } } });
  lab.socket.answer(lab.socket.last, { "sample.a": refusal(true) });
  lab.pass(500);
  lab.socket.answer(lab.socket.last, VALUE);
  await added;
  lab.socket.lose();
  lab.pass(500);
  lab.socket.open();
  lab.socket.answer(lab.socket.last, { "sample.a": refusal(false) });
  lab.pass(500);
  lab.socket.answer(lab.socket.last, { "sample.a": { value: 3, at: "f:1" } });
  assert.deepEqual(handler.calls, [[1, "a"], [3, "a"]]);
  assert.deepEqual(lab.errors, []);
});

test("a channel that has worked, and is refused again and again, is told of once", (t) => {
  const lab = new Lab(t);
  lab.connect();
  lab.rpc.sample.rpcWebsocket.addChannelHandlers({ a: recorder() });
  lab.socket.answer(lab.socket.last, VALUE);
  lab.socket.lose();
  lab.pass(500);
  lab.socket.open();
  const error = { code: -32001, message: "no channel", data: { executed: "no", retryable: false } };
  for (let asked = 0; asked < 4; asked += 1) {
    lab.socket.answer(lab.socket.last, { "sample.a": { error } });
    lab.pass(20_000);
  }
  assert.deepEqual(lab.errors.map(({ what }) => what), ["following sample.a failed"]);
  assert.equal(lab.socket.received.length, 5); // and it is still asked for
});

test("a gap of a subscription that has ended is not the next one's", (t) => {
  const lab = new Lab(t);
  const socket = lab.connect();
  const stop = lab.rpc.sample.$channel("alarm").subscribe(recorder());
  socket.answer(socket.last, { "sample.alarm": { at: "e:1" } });
  stop();
  lab.rpc.sample.$channel("alarm").subscribe(recorder());
  const again = socket.last;
  socket.notify("rpc.gap", { channel: "sample.alarm", from: "e:2", to: "e:3" });
  socket.answer(again, { "sample.alarm": { at: "e:9" } });
  assert.deepEqual(lab.gaps, []);
  socket.lose();
  lab.pass(400);
  lab.socket.open();
  assert.deepEqual(lab.socket.last.params.since, { "sample.alarm": "e:9" });
});

test("a thousand channels are subscribed in batches", (t) => {
  const lab = new Lab(t);
  const handlers = Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`c${i}`, recorder()]));
  lab.rpc.sample.rpcWebsocket.addChannelHandlers(handlers);
  lab.socket.open();
  assert.deepEqual(lab.socket.received.map(({ params }) => params.channels.length), [512, 488]);
});

test("a handler that is no function is refused at once", async (t) => {
  const lab = new Lab(t);
  assert.equal((await failure(lab.rpc.sample.rpcWebsocket.addChannelHandlers({ a: 1 }))).name, "TypeError");
  assert.throws(() => lab.rpc.sample.$channel("a").subscribe("no"), TypeError);
});
