/** Sessions: going on over the next connection, being lost, and what is sent again by itself. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { Lab, failure } from "./support.mjs";

/** The page connects again, to a server that knows its session, unless told otherwise. */
function comeBack(lab, hello = { resumed: true }) {
  lab.socket.lose();
  lab.hello = { ...lab.hello, ...hello };
  const count = lab.sockets.length;
  for (let i = 0; lab.sockets.length === count && i < 100; i += 1) {
    lab.pass(100);
  }
  return lab.socket.open();
}

const OVERLOADED = -32004;
const UNKNOWN = -32006;
const overloaded = (socket) => socket.refuse(socket.last, OVERLOADED, { retryable: true }, "too many");

test("the session goes on: unanswered requests again, subscriptions since, then what waited", async (t) => {
  const lab = new Lab(t);
  lab.hello = { limits: { in_flight: 4 }, session: "s7", token: "t7" };
  const former = lab.connect();
  lab.rpc.sample.$channel("a").subscribe(() => {});
  former.answer(former.last, { "sample.a": { value: 1, at: "e:1" } });
  const results = ["one", "two", "three", "waits"].map((text) => lab.rpc.sample.f(text));
  const [, one, two, three] = former.received;
  lab.now += 30;
  former.answer(two, "2");

  const stamps = former.received.slice(-3).map(({ wispy }) => wispy.at);
  const socket = comeBack(lab, { resumed: true, run: "r2", ms: 9_000_000, token: "t8" });
  assert.ok(former.isClosed);
  assert.deepEqual([socket.hello.params.session, socket.hello.params.token], ["s7", "t7"]);
  assert.deepEqual(socket.methods, ["sample.f", "sample.f", "sample.f", "rpc.subscribe"]);
  const [again, third, fourth, subscribe] = socket.received;
  assert.deepEqual(again, { ...one, wispy: { ack: one.id - 1, at: one.wispy.at, run: "r1", retry: true } });
  assert.deepEqual([third.id, third.wispy.retry, third.params], [three.id, true, ["three"]]);
  assert.deepEqual([fourth.params, fourth.wispy.at], [["waits"], stamps[2]]);
  assert.ok(socket.hello.id > fourth.id && subscribe.id > socket.hello.id, "ids go on rising");
  assert.deepEqual(subscribe.params, { channels: ["sample.a"], since: { "sample.a": "e:1" } });

  [again, third, fourth].forEach((request) => socket.answer(request, request.params[0]));
  assert.deepEqual(await Promise.all(results), ["one", "2", "three", "waits"]);
  assert.deepEqual(lab.states, ["connecting", "connected", "connecting", "resumed"]);
  assert.equal(lab.rpc.$state, "resumed");
  comeBack(lab);
  assert.equal(lab.socket.hello.params.token, "t8");
});

test("a retry bears the run of its stamp, a new request the new clock's", (t) => {
  const lab = new Lab(t);
  const former = lab.connect();
  lab.rpc.sample.f("before");
  former.notify("rpc.clock", { run: "r2", ms: 77 });
  lab.rpc.sample.f("after");
  const socket = comeBack(lab);
  assert.deepEqual(socket.received.map(({ wispy }) => [wispy.run, wispy.at]), [["r1", 1_000_000], ["r2", 77]]);
});

test("what the caller gave up is not asked for again, and counts as answered", async (t) => {
  const lab = new Lab(t);
  const former = lab.connect();
  const given = failure(lab.rpc.sample.$options({ timeout: 100 }).f());
  const { id } = former.last;
  lab.pass(100);
  assert.equal((await given).executed, "maybe");
  lab.rpc.sample.g();
  const socket = comeBack(lab);
  assert.deepEqual(socket.methods, ["sample.g"]);
  assert.equal(socket.last.wispy.ack, id);
});

test("a time-out runs on while there is no connection", async (t) => {
  const lab = new Lab(t);
  const socket = lab.connect();
  const late = failure(lab.rpc.sample.$options({ timeout: 200 }).f());
  socket.lose();
  lab.pass(250);
  assert.equal((await late).executed, "maybe");
});

test("a session whose window has passed is lost, and a new one begins", async (t) => {
  const lab = new Lab(t);
  lab.hello = { session_window_s: 8 };
  lab.connect();
  const sent = failure(lab.rpc.sample.f());
  lab.socket.lose();
  lab.pass(7_900);
  assert.equal(lab.rpc.$state, "connecting");
  lab.pass(200);
  assert.equal(lab.rpc.$state, "lost");
  const error = await sent;
  assert.deepEqual([error.code, error.executed], [UNKNOWN, "maybe"]);
  assert.match(error.message, /no connection for 8 s/);
  lab.pass(20_000);
  lab.socket.open();
  assert.deepEqual(Object.keys(lab.socket.hello.params), ["client"]);
  assert.equal(lab.rpc.$state, "connected");
  assert.deepEqual(lab.socket.received, []);
  lab.pass(9_000);
  assert.ok(!lab.states.slice(lab.states.lastIndexOf("connected")).includes("lost"), "the window ended with it");
});

test("a session that hello has asked for is not given up before the answer", (t) => {
  const lab = new Lab(t);
  lab.hello = { session_window_s: 8 };
  lab.connect();
  lab.rpc.sample.f();
  lab.saysHello = false;
  lab.socket.lose();
  lab.pass(7_900);
  lab.socket.open();
  lab.pass(200);
  lab.hello.resumed = true;
  lab.socket.welcome();
  assert.deepEqual(lab.states, ["connecting", "connected", "connecting", "resumed"]);
  assert.deepEqual(lab.socket.methods, ["sample.f"]);
  lab.pass(9_000);
  assert.equal(lab.rpc.$state, "resumed");
});

test("a session that hello asks for in vain is given up when its window has passed", async (t) => {
  const lab = new Lab(t);
  lab.hello = { session_window_s: 8 };
  lab.connect();
  const sent = failure(lab.rpc.sample.f());
  lab.saysHello = false;
  lab.socket.lose();
  lab.pass(2_000);
  lab.socket.open().lose();
  lab.pass(5_900);
  assert.equal(lab.rpc.$state, "connecting", "the window is of the loss, and within it the page asks again");
  lab.socket.open();
  lab.pass(200);
  assert.equal(lab.rpc.$state, "connecting", "it may still be answered");
  lab.socket.lose();
  lab.pass(50);
  assert.equal(lab.rpc.$state, "lost");
  assert.match((await sent).message, /no connection for 8 s/);
});

test("a session that was closed does not go on", (t) => {
  const lab = new Lab(t);
  lab.connect();
  lab.rpc.$close();
  assert.equal(lab.connect().hello.params.session, undefined);
});

test("a connection that is lost before hello keeps the session", (t) => {
  const lab = new Lab(t);
  lab.connect();
  lab.rpc.sample.f();
  lab.socket.lose();
  lab.saysHello = false;
  for (let i = 0; i < 2; i += 1) {
    while (lab.sockets.length < i + 2) {
      lab.pass(100);
    }
    lab.socket.open();
    assert.equal(lab.socket.hello.params.session, "s1");
    lab.socket.lose();
  }
  lab.saysHello = true;
  lab.hello = { resumed: true };
  lab.pass(3_000);
  lab.socket.open();
  assert.deepEqual(lab.socket.methods, ["sample.f"]);
});

test("what was not run and may be tried again is sent under a new id, before what waits", async (t) => {
  const lab = new Lab(t);
  lab.hello = { limits: { in_flight: 2 } };
  const socket = lab.connect();
  const result = lab.rpc.sample.f(1);
  const first = socket.last;
  overloaded(socket);
  assert.equal(socket.last, first);
  lab.pass(200); // 100 ms and half of 250
  assert.equal(socket.last, first);
  lab.pass(50);
  assert.deepEqual([socket.last.params, socket.last.wispy.retry], [[1], undefined]);
  assert.ok(socket.last.id > first.id);
  socket.answer(socket.last, "ran");
  assert.equal(await result, "ran");

  lab.rpc.sample.f("rests");
  overloaded(socket);
  lab.rpc.other.f("takes the one place");
  const other = socket.last;
  lab.rpc.sample.f("waits");
  lab.pass(300);
  socket.answer(other, null);
  assert.deepEqual(socket.last.params, ["rests"]);
  socket.answer(socket.last, null);
  assert.deepEqual(socket.last.params, ["waits"]);
});

test("it is tried four times, and not beyond ten seconds or the caller's own time", async (t) => {
  const lab = new Lab(t);
  const socket = lab.connect();
  const ended = failure(lab.rpc.sample.f());
  for (let tries = 1; tries <= 5; tries += 1) {
    assert.equal(socket.received.length, tries);
    overloaded(socket);
    lab.pass(1_500);
  }
  const error = await ended;
  assert.deepEqual([error.code, error.executed, error.retryable, socket.received.length], [OVERLOADED, "no", true, 5]);

  const slow = failure(lab.rpc.sample.f());
  lab.pass(9_900);
  overloaded(socket);
  assert.equal((await slow).code, OVERLOADED);
  const short = failure(lab.rpc.sample.$options({ timeout: 200 }).f());
  overloaded(socket);
  assert.equal((await short).code, OVERLOADED);
});

test("a call is not repeated after something else was sent to its object; a read is, an assignment never", async (t) => {
  const lab = new Lab(t);
  const socket = lab.connect();
  const early = failure(lab.rpc.sample.f("early"));
  const [sent] = socket.received;
  lab.rpc.sample.f("later");
  lab.rpc.other.f();
  socket.refuse(sent, OVERLOADED, { retryable: true });
  assert.equal((await early).code, OVERLOADED);

  const resting = failure(lab.rpc.sample.f("rests"));
  overloaded(socket);
  lab.rpc.sample.f("meanwhile");
  lab.pass(300);
  assert.equal((await resting).code, OVERLOADED);
  assert.deepEqual(socket.last.params, ["meanwhile"]);

  const read = lab.rpc.sample.$get("a");
  const get = socket.last;
  lab.rpc.sample.f();
  socket.refuse(get, OVERLOADED, { retryable: true });
  lab.pass(300);
  assert.deepEqual([socket.last.method, socket.last.params], ["rpc.get", { path: "sample.a" }]);
  socket.answer(socket.last, 5);
  assert.equal(await read, 5);

  const set = failure(lab.rpc.sample.$set("a", 1));
  overloaded(socket);
  assert.equal((await set).code, OVERLOADED);
  const removed = failure(lab.rpc.sample.$delete("a"));
  overloaded(socket);
  assert.equal((await removed).code, OVERLOADED);
});

test("what is idempotent is repeated where it may have run, also in a new session; other calls are not", async (t) => {
  const lab = new Lab(t);
  const socket = lab.connect();
  const { sample } = lab.rpc.$options({ idempotent: true });
  const repeated = sample.f("idempotent");
  socket.refuse(socket.last, UNKNOWN, { executed: "maybe" });
  lab.pass(300);
  assert.deepEqual([socket.received.length, socket.last.params], [2, ["idempotent"]]);
  const anew = comeBack(lab, { resumed: false });
  lab.pass(500);
  assert.deepEqual(anew.last.params, ["idempotent"]);
  anew.answer(anew.last, "ran");
  assert.equal(await repeated, "ran");

  const once = failure(lab.rpc.sample.f());
  anew.refuse(anew.last, UNKNOWN, { executed: "maybe" });
  assert.equal((await once).executed, "maybe");
  const ran = failure(sample.f());
  anew.refuse(anew.last, -32000, { executed: "yes" });
  assert.equal((await ran).executed, "yes");
});

test("that a repeated request did not run does not say that it did not run before", async (t) => {
  const lab = new Lab(t);
  const socket = lab.connect();
  const called = failure(lab.rpc.sample.$options({ idempotent: true }).f());
  socket.refuse(socket.last, UNKNOWN, { executed: "maybe" });
  lab.pass(500);
  assert.equal(socket.received.length, 2);
  socket.refuse(socket.last, -32001, { executed: "no" }, "there is no such object any more");
  const error = await called;
  assert.deepEqual([error.code, error.executed, error.retryable], [-32001, "maybe", false]);
  assert.match(error.message, /no such object any more/);
});

test("what rests is ended with what is known of it", async (t) => {
  const lab = new Lab(t);
  const socket = lab.connect();
  const leaving = new AbortController();
  const aborted = failure(lab.rpc.sample.$options({ signal: leaving.signal }).f());
  overloaded(socket);
  leaving.abort(new Error("left"));
  assert.equal((await aborted).message, "left");
  assert.equal(socket.received.length, 1, "there is nothing to cancel");
  const refused = failure(lab.rpc.sample.f());
  overloaded(socket);
  const unclear = failure(lab.rpc.other.$options({ idempotent: true }).f());
  socket.refuse(socket.last, UNKNOWN, { executed: "maybe" });
  lab.rpc.$close();
  assert.deepEqual([(await refused).executed, (await unclear).executed], ["no", "maybe"]);
  lab.pass(1_000);
  assert.equal(socket.received.length, 3);
});
