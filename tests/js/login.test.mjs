/** `$authenticate`: the token goes first, again on each connection, and nowhere else; one that is no good is forgotten. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { Lab, failure, settled } from "./support.mjs";

const UNAUTHENTICATED = -32009;
const UNAVAILABLE = -32013;
const LOGIN = "rpc.authenticate";
const ALICE = { user: "alice", roles: ["operator"] };

/** The connection is lost, and the page opens the next one. */
function comeBack(lab, code = 1006) {
  lab.socket.lose(code);
  const count = lab.sockets.length;
  for (let i = 0; lab.sockets.length === count && i < 100; i += 1) {
    lab.pass(100);
  }
  return lab.socket.open();
}

test("it opens the connection, and is the first message: hello and requests come after its answer", async (t) => {
  const lab = new Lab(t);
  const who = lab.rpc.$authenticate("secret");
  const sum = lab.rpc.sample.test_sum(1, 2);
  const socket = lab.socket.open();
  assert.deepEqual([socket.methods, socket.hello], [[LOGIN], undefined]);
  assert.deepEqual(socket.last.params, { token: "secret" });
  socket.answer(socket.last, ALICE);
  assert.deepEqual(await who, ALICE);
  assert.ok(socket.hello);
  assert.deepEqual(socket.methods, [LOGIN, "sample.test_sum"]);
  socket.answer(socket.last, 3);
  assert.equal(await sum, 3);
  assert.doesNotMatch(`${socket.address}${JSON.stringify(socket.hello)}`, /secret/, "no URL and no log has the token");
});

test("without a token there is no such message", (t) => {
  const lab = new Lab(t);
  const socket = lab.connect();
  lab.rpc.sample.f();
  assert.deepEqual(socket.methods, ["sample.f"]);
});

test("a newer token goes over the open connection, past what is in flight, and interrupts nothing", async (t) => {
  const lab = new Lab(t);
  const socket = lab.connect();
  const call = lab.rpc.sample.f();
  const who = lab.rpc.$authenticate("newer");
  assert.deepEqual(socket.last.params, { token: "newer" });
  socket.answer(socket.last, ALICE);
  assert.deepEqual(await who, ALICE);
  socket.answer(socket.received[0], "done");
  assert.equal(await call, "done");
  assert.equal(lab.sockets.length, 1);
  assert.deepEqual(lab.states, ["connecting", "connected"]);
});

test("the newest token is shown first on each later connection, and the session goes on", async (t) => {
  const lab = new Lab(t);
  const first = lab.connect();
  for (const token of ["old", "new"]) {
    const who = lab.rpc.$authenticate(token);
    first.answer(first.last, ALICE);
    await who;
  }
  lab.hello = { resumed: true };
  const socket = comeBack(lab, 4401);
  assert.deepEqual([socket.methods, socket.last.params], [[LOGIN], { token: "new" }]);
  socket.answer(socket.last, ALICE);
  assert.equal(socket.hello.params.session, "s1");
  assert.equal(lab.rpc.$state, "resumed");
});

test("one that is no good is told to whoever showed it, and forgotten", async (t) => {
  const lab = new Lab(t);
  const who = failure(lab.rpc.$authenticate("bad"));
  const socket = lab.socket.open();
  socket.refuse(socket.last, UNAUTHENTICATED);
  assert.equal((await who).code, UNAUTHENTICATED);
  await settled();
  assert.equal(socket.hello, undefined, "nothing else is asked of a server that does not know the page");
  assert.deepEqual(lab.errors.map(({ error }) => error.code), [UNAUTHENTICATED]);
  const next = comeBack(lab);
  assert.deepEqual([next.methods, next.hello?.method], [[], "rpc.hello"], "it is not shown again");
});

test("each who logs in gets the answer to his own token", async (t) => {
  const lab = new Lab(t);
  const socket = lab.connect();
  const first = failure(lab.rpc.$authenticate("bad"));
  const second = lab.rpc.$authenticate("good");
  const [bad, good] = socket.received;
  socket.refuse(bad, UNAUTHENTICATED);
  socket.answer(good, ALICE);
  assert.deepEqual([(await first).code, await second], [UNAUTHENTICATED, ALICE]);
});

test("a token that comes while hello is on its way is shown after it", async (t) => {
  const lab = new Lab(t);
  lab.saysHello = false;
  lab.rpc.sample.f();
  const socket = lab.socket.open();
  const who = lab.rpc.$authenticate("secret");
  socket.welcome();
  assert.deepEqual(socket.methods, [LOGIN, "sample.f"]);
  socket.answer(socket.received[0], ALICE);
  assert.deepEqual(await who, ALICE);
});

test("a bad newer token leaves the connection as it is", async (t) => {
  const lab = new Lab(t);
  const socket = lab.connect();
  const who = failure(lab.rpc.$authenticate("bad"));
  socket.refuse(socket.last, UNAUTHENTICATED);
  assert.equal((await who).code, UNAUTHENTICATED);
  assert.equal(lab.rpc.$state, "connected");
  assert.ok(!socket.isClosed);
});

test("after a bad newer token the former one is shown on the next connection", async (t) => {
  const lab = new Lab(t);
  const who = lab.rpc.$authenticate("good");
  const socket = lab.socket.open();
  socket.answer(socket.last, ALICE);
  await who;
  const newer = failure(lab.rpc.$authenticate("bad"));
  socket.refuse(socket.last, UNAUTHENTICATED);
  await newer;
  assert.deepEqual(comeBack(lab).last.params, { token: "good" });
});

test("a login that cannot be checked now is tried again on the next connection", async (t) => {
  const lab = new Lab(t);
  const who = lab.rpc.$authenticate("secret");
  lab.socket.refuse(lab.socket.open().last, UNAVAILABLE, { retryable: true });
  const socket = comeBack(lab);
  assert.deepEqual([socket.methods, socket.last.params], [[LOGIN], { token: "secret" }]);
  socket.answer(socket.last, ALICE);
  assert.deepEqual(await who, ALICE);
});

test("a page that hears of an end logs in anew", async (t) => {
  const lab = new Lab(t);
  const first = lab.connect();
  const who = lab.rpc.$authenticate("old");
  first.answer(first.last, ALICE);
  await who;
  const expired = comeBack(lab, 4401);
  expired.refuse(expired.last, UNAUTHENTICATED);
  assert.deepEqual(lab.errors.map(({ error }) => error.code), [UNAUTHENTICATED]);
  const again = lab.rpc.$authenticate("new");
  const socket = lab.socket.open();
  assert.deepEqual(socket.last.params, { token: "new" });
  socket.answer(socket.last, ALICE);
  assert.deepEqual(await again, ALICE);
});

test("a click is not meant any more when its user logs in much later", async (t) => {
  const lab = new Lab(t);
  lab.connect();
  lab.saysHello = false;
  lab.socket.lose(4401);
  const click = failure(lab.rpc.sample.f());
  for (let seconds = 0; seconds < 40; seconds += 1) {
    lab.pass(1_000);
    if (lab.socket.hello === undefined) { // the next connection
      lab.socket.open().refuse(lab.socket.hello, UNAUTHENTICATED);
    }
  }
  const error = await Promise.race([click, settled()]);
  assert.equal(error?.executed, "no");
});

test("closing forgets it, and refuses who waits", async (t) => {
  const lab = new Lab(t);
  const who = failure(lab.rpc.$authenticate("secret"));
  lab.rpc.$close();
  assert.equal((await who).executed, "no");
  assert.equal((await failure(lab.rpc.$authenticate("too late"))).executed, "no");
  assert.deepEqual(lab.connect().methods, []);
});

test("closing refuses who waits on a connection that was lost, too", async (t) => {
  const lab = new Lab(t);
  const socket = lab.connect();
  const who = failure(lab.rpc.$authenticate("secret"));
  socket.lose();
  lab.rpc.$close();
  assert.equal((await who).executed, "no");
});

test("what is no text is no token", async (t) => {
  const lab = new Lab(t);
  for (const wrong of [undefined, null, 5, {}, ["x"]]) {
    assert.match((await failure(lab.rpc.$authenticate(wrong))).message, /takes the token, a string/);
  }
  assert.equal(lab.sockets.length, 0);
});
