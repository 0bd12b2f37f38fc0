/** The connection: states, coming back, silence, sleep, and a server that is closing. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { Lab, failure, settled } from "./support.mjs";

const { Backoff, ServerClock, websocketUrl, createRpc } = globalThis.wispyjs;

test("the websocket lies beside the folder of the scripts, under any base path", () => {
  assert.equal(websocketUrl("http://host:5000/wispyjs/rpc.js"), "ws://host:5000/ws");
  assert.equal(websocketUrl("https://host/lab/a/wispyjs/rpc.js?v=2#x"), "wss://host/lab/a/ws");
  assert.equal(websocketUrl("file:///home/me/wispyjs/rpc.js"), null);
  assert.equal(websocketUrl("http://host/rpc.js"), null);
  assert.equal(websocketUrl(""), null);
});

test("an address may be given as http, and must be one", () => {
  assert.throws(() => createRpc("ftp://host/ws"), TypeError);
  assert.throws(() => createRpc("no address"), TypeError);
});

test("backoff: full jitter between 0.1 s and 20.1 s", () => {
  const [lucky, unlucky] = [new Backoff(() => 0), new Backoff(() => 1)];
  assert.deepEqual([lucky.next(), lucky.next()], [100, 100]);
  assert.deepEqual([1, 2, 3, 4, 5, 6, 7, 8].map(() => unlucky.next()), [
    600, 1_100, 2_100, 4_100, 8_100, 16_100, 20_100, 20_100,
  ]);
  unlucky.reset();
  assert.equal(unlucky.next(), 600);
  for (let i = 0; i < 5_000; i += 1) {
    assert.ok(unlucky.next() <= 20_100);
  }
});

test("the server's clock is never read ahead of it", () => {
  const clock = new ServerClock();
  assert.equal(clock.read(5), null);
  clock.set(1_000, 10);
  assert.equal(clock.read(11.999), 1_001);
});

test("looking at proxies and listening do not connect; the first use does", (t) => {
  const lab = new Lab(t, { url: "http://host/ws" });
  void lab.rpc.sample.a.b;
  assert.deepEqual([lab.rpc.$state, lab.sockets.length], ["idle", 0]);
  lab.rpc.sample.f();
  assert.equal(lab.socket.address, "ws://host/ws");
  lab.socket.open();
  assert.deepEqual(lab.states, ["connecting", "connected"]);
  assert.equal(lab.rpc.$state, "connected");
});

test("$connect resolves when connected, and rejects when closed before", async (t) => {
  const lab = new Lab(t);
  const connected = lab.rpc.$connect();
  lab.socket.open();
  await connected;
  lab.rpc.$close();
  const again = failure(lab.rpc.$connect());
  lab.rpc.$close();
  assert.equal((await again).executed, "no");
});

test("$connect to another server drops the first", (t) => {
  const lab = new Lab(t);
  const first = lab.connect();
  lab.rpc.$connect("ws://other/ws");
  assert.ok(first.isClosed);
  assert.equal(lab.socket.address, "ws://other/ws");
});

test("a lost connection comes back after the backoff, which grows until a connection lasted", (t) => {
  const lab = new Lab(t);
  lab.connect();
  const waits = [];
  const loseAndWait = () => {
    const count = lab.sockets.length;
    const lostAt = lab.now;
    lab.socket.lose();
    while (lab.sockets.length === count) {
      lab.pass(50);
    }
    waits.push(lab.now - lostAt);
  };
  loseAndWait();
  loseAndWait();
  lab.socket.open(); // says hello, and is lost at once: that was no good connection
  loseAndWait();
  lab.socket.open();
  lab.pass(11_000);
  loseAndWait();
  assert.deepEqual(waits, [350, 600, 1_100, 350]);
});

test("a server that opens and says nothing is given up", (t) => {
  const lab = new Lab(t);
  lab.saysHello = false;
  lab.connect();
  lab.pass(16_000);
  assert.equal(lab.rpc.$state, "connecting");
  assert.equal(lab.sockets.length, 2);
  assert.ok(lab.sockets[0].isClosed);
});

test("a refused hello is reported, and tried again later", (t) => {
  const lab = new Lab(t);
  lab.saysHello = false;
  const socket = lab.connect();
  socket.refuse(socket.hello, -32009);
  assert.equal(lab.errors[0].error.code, -32009);
  assert.equal(lab.rpc.$state, "connecting");
  lab.pass(500);
  assert.equal(lab.sockets.length, 2);
});

test("a hello that may succeed later is no error, only a lost connection", (t) => {
  const lab = new Lab(t);
  lab.saysHello = false;
  const socket = lab.connect();
  socket.refuse(socket.hello, -32013, { retryable: true }, "Redis cannot be reached");
  assert.deepEqual([lab.errors, lab.rpc.$state], [[], "connecting"]);
});

test("silence is probed after the server's pings should have come; an answer keeps the connection", (t) => {
  const lab = new Lab(t);
  const socket = lab.connect();
  lab.pass(34_000);
  assert.deepEqual(socket.received, []);
  lab.pass(6_000);
  assert.deepEqual([socket.last.method, socket.last.params], ["rpc.unsubscribe", { channels: [] }]);
  socket.answer(socket.last, null);
  lab.pass(30_000);
  assert.equal(socket.received.length, 1);
  assert.equal(lab.rpc.$state, "connected");
});

test("a probe that nothing answers ends the connection", (t) => {
  const lab = new Lab(t);
  const socket = lab.connect();
  lab.rpc.sample.f();
  lab.pass(56_000);
  assert.ok(socket.isClosed);
  assert.ok(lab.sockets.length > 1);
  lab.hello = { resumed: true };
  lab.socket.open();
  assert.equal(lab.socket.received[0].method, "sample.f");
});

test("a calendar that is put back hides no sleep that follows", (t) => {
  const lab = new Lab(t);
  lab.connect();
  lab.asleepMs = -3_600_000;
  lab.pass(5_000);
  assert.equal(lab.rpc.$state, "connected");
  lab.asleepMs += 60_000;
  lab.pass(5_000);
  assert.equal(lab.rpc.$state, "connecting");
});

test("after sleep the connection is made anew, because the clock it read is of no use", (t) => {
  const lab = new Lab(t);
  const socket = lab.connect();
  lab.asleepMs = 60_000;
  lab.pass(5_000);
  assert.ok(socket.isClosed);
  lab.pass(500);
  lab.socket.open();
  lab.pass(20_000);
  assert.equal(lab.sockets.length, 2);
});

test("rpc.closing: nothing more is sent, answers are awaited, and the page moves when it was told to", async (t) => {
  const lab = new Lab(t);
  const socket = lab.connect();
  const inFlight = lab.rpc.sample.f("in flight");
  const sent = socket.last;
  socket.notify("rpc.closing", { reconnect_in_ms: 700 });
  lab.rpc.sample.f("held");
  assert.equal(socket.last, sent);
  lab.pass(800);
  assert.equal(lab.sockets.length, 1); // an answer is still due
  socket.answer(sent, "done");
  assert.equal(await inFlight, "done");
  assert.ok(socket.isClosed);
  lab.pass(50);
  lab.socket.open();
  assert.deepEqual(lab.socket.last.params, ["held"]);
  assert.deepEqual(lab.states.slice(2), ["connecting", "lost", "connected"]); // this server resumes nothing
});

test("rpc.closing: a call that lasts longer goes along to the next server", async (t) => {
  const lab = new Lab(t);
  lab.hello = { resumed: true };
  const socket = lab.connect();
  const long = lab.rpc.sample.f("long");
  const sent = socket.last;
  socket.notify("rpc.closing", { reconnect_in_ms: 700 });
  lab.pass(1_600);
  assert.equal(lab.sockets.length, 1);
  lab.pass(200);
  assert.ok(socket.isClosed);
  lab.socket.open();
  assert.equal(lab.socket.last.id, sent.id);
  lab.socket.answer(sent, "done");
  assert.equal(await long, "done");
});

test("rpc.closing: a server that closes before is not come back to earlier than it asked", (t) => {
  const lab = new Lab(t);
  lab.connect();
  lab.socket.notify("rpc.closing", { reconnect_in_ms: 3_000 });
  lab.socket.lose(1001, "going away");
  lab.pass(2_950);
  assert.equal(lab.sockets.length, 1);
  lab.pass(100);
  assert.equal(lab.sockets.length, 2);
});

test("listeners hear the states with their reason, until they stop; one that throws harms nobody", async (t) => {
  const lab = new Lab(t);
  const heard = [];
  lab.rpc.$on("state", () => { throw new Error("listener"); });
  const stop = lab.rpc.$on("state", (state, detail) => heard.push([state, detail]));
  lab.connect();
  lab.socket.lose(1013, "try again later");
  stop();
  lab.rpc.$close();
  await settled();
  assert.deepEqual(heard.map(([state]) => state), ["connecting", "connected", "connecting"]);
  assert.deepEqual(heard[2][1], { reason: "try again later", code: 1013 });
  assert.throws(() => lab.rpc.$on("stat", () => {}), TypeError);
});

for (const state of ["lost", "connected"]) {
  test(`a listener may close when it hears "${state}", and nothing is lost on the way`, async (t) => {
    const lab = new Lab(t);
    lab.connect();
    lab.socket.lose();
    const stop = lab.rpc.$on("state", (now) => now === state && lab.rpc.$close());
    lab.pass(400);
    lab.socket.open(); // its server does not know the session
    assert.equal(lab.rpc.$state, "closed");
    assert.ok(lab.socket.isClosed);
    stop();
    const again = lab.connect();
    const answered = lab.rpc.sample.f();
    assert.deepEqual(again.methods, ["sample.f"]);
    again.answer(again.last, 1);
    assert.equal(await answered, 1);
  });
}

test("an address that a browser does not connect to is told to each who asks", async () => {
  class WebSocket {
    constructor() {
      throw new Error("a secure page may not connect to ws:");
    }
  }
  const rpc = createRpc("ws://server/ws", { WebSocket, now: () => 0 });
  for (let i = 0; i < 2; i += 1) {
    const error = await failure(rpc.sample.f());
    assert.deepEqual([error.code, error.executed, error.retryable], [-32013, "no", false]);
    assert.match(error.message, /ws:\/\/server\/ws cannot be connected to: a secure page/);
  }
  assert.equal(rpc.$state, "idle");
});

test("loading the script twice gives the same rpc", async () => {
  const { rpc } = globalThis;
  await import("../../wispyjs/rpc.js?again");
  const module = await import("../../wispyjs/rpc.mjs?again");
  assert.equal(globalThis.rpc, rpc);
  assert.equal(module.default, rpc);
  assert.equal(module.rpc, rpc);
});
