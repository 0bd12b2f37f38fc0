/** Proxies: what is local, what is sent, and when. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { Lab, failure, settled } from "./support.mjs";

/** What one use of a proxy sends: method and params. */
async function sentBy(t, use) {
  const lab = new Lab(t);
  const socket = lab.connect();
  Promise.resolve(use(lab.rpc)).catch(() => {});
  await settled();
  return socket.received.map(({ method, params }) => [method, params]);
}

const CASES = {
  "awaiting a member gets it": [(rpc) => rpc.sample.a.then(), "rpc.get", { path: "sample.a" }],
  "nested members": [(rpc) => rpc.sample.motor.position.then(), "rpc.get", { path: "sample.motor.position" }],
  "an index of a list": [(rpc) => rpc.sample.c[0].then(), "rpc.get", { path: "sample.c.0" }],
  "names with dots": [(rpc) => rpc.sample.d["x.y"].then(), "rpc.get", { path: ["sample", "d", "x.y"] }],
  "a call": [(rpc) => rpc.sample.test_sum(4, 5), "sample.test_sum", [4, 5]],
  "a call of a nested method": [(rpc) => rpc.sample.motor.move(1), "sample.motor.move", [1]],
  "a call below a name with dots": [(rpc) => rpc.s.d["x.y"].f(), "rpc.call", { path: ["s", "d", "x.y", "f"], args: [] }],
  "keyword arguments": [(rpc) => rpc.s.f.$call([1], { b: 2 }), "rpc.call", { path: "s.f", args: [1], kwargs: { b: 2 } }],
  "$call of a member": [(rpc) => rpc.s.$call("toString", [1]), "s.toString", [1]],
  "$call without arguments": [(rpc) => rpc.s.f.$call(), "s.f", []],
  "an assignment": [(rpc) => void (rpc.sample.a = 2), "rpc.set", { path: "sample.a", value: 2 }],
  "an assignment of undefined": [(rpc) => void (rpc.s.a = undefined), "rpc.set", { path: "s.a", value: null }],
  "a delete": [(rpc) => void delete rpc.sample.a, "rpc.delete", { path: "sample.a" }],
  "$get of a local name": [(rpc) => rpc.sample.$get("toString"), "rpc.get", { path: "sample.toString" }],
  "$get of a member": [(rpc) => rpc.sample.a.$get(), "rpc.get", { path: "sample.a" }],
  "$get of an index": [(rpc) => rpc.sample.c.$get(0), "rpc.get", { path: "sample.c.0" }],
  "$set of a member by name": [(rpc) => rpc.sample.$set("a", 2), "rpc.set", { path: "sample.a", value: 2 }],
  "$set on the member": [(rpc) => rpc.sample.a.$set(2), "rpc.set", { path: "sample.a", value: 2 }],
  "$delete": [(rpc) => rpc.sample.$delete("a"), "rpc.delete", { path: "sample.a" }],
  "$describe of an object": [(rpc) => rpc.sample.$describe(), "rpc.describe", { path: "sample" }],
  "$describe of a member": [(rpc) => rpc.sample.f.$describe(), "rpc.describe", { path: "sample.f" }],
  "$describe of everything": [(rpc) => rpc.$describe(), "rpc.discover", {}],
  "$source": [(rpc) => rpc.sample.$source("f"), "rpc.source", { path: "sample.f" }],
  "a BigInt": [(rpc) => rpc.s.f(2n ** 64n), "s.f", [{ $int: "18446744073709551616" }]],
};

for (const [name, [use, method, params]] of Object.entries(CASES)) {
  test(`sends: ${name}`, async (t) => assert.deepEqual(await sentBy(t, use), [[method, params]]));
}

test("a member that is taken for its value says so, and nothing is sent", async (t) => {
  const sent = await sentBy(t, async ({ sample }) => {
    const mistakes = [() => (sample.a += 1), () => sample.a++, () => sample.a > 3, () => sample.a == 2, () => "is " + sample.a];
    for (const mistake of mistakes) {
      assert.throws(mistake, { name: "TypeError", message: "rpc.sample.a is not its value: await it" });
    }
  });
  assert.deepEqual(sent, []);
});

test("looking never sends: rpc and objects are not promises, symbols and locals are local", async (t) => {
  const sent = await sentBy(t, async (rpc) => {
    const { sample } = rpc;
    assert.equal(rpc.then, undefined);
    assert.equal(sample.then, undefined);
    assert.equal(typeof (await sample), "function");
    assert.equal(sample[Symbol.iterator], undefined);
    assert.equal(sample.a[Symbol.toPrimitive], undefined);
    assert.equal(`${sample.a.b} ${sample} ${rpc}`, "rpc.sample.a.b rpc.sample rpc");
    assert.equal(JSON.stringify({ a: sample.a }), '{"a":"rpc.sample.a"}');
    assert.equal(sample.valueOf(), sample.valueOf());
    assert.equal(sample.constructor, Function);
    assert.equal(sample.$nonsense, undefined);
    assert.deepEqual(Object.keys(sample), []);
    assert.equal("a" in sample, false);
    void sample.a.b.c;
  });
  assert.deepEqual(sent, []);
});

test("a member is read once, however often it is awaited; looking it up again reads again", async (t) => {
  const lab = new Lab(t);
  const socket = lab.connect();
  const member = lab.rpc.sample.a;
  const all = Promise.all([member, member.then((value) => value + 1), member.catch(() => {}), member.finally(() => {})]);
  await settled();
  assert.equal(socket.received.length, 1);
  socket.answer(socket.last, 5);
  assert.deepEqual(await all, [5, 6, 5, 5]);
  lab.rpc.sample.a.then();
  await settled();
  assert.equal(socket.received.length, 2);
});

test("an assignment, a read and a delete leave in the order they were written", async (t) => {
  const sent = await sentBy(t, (rpc) => {
    const { sample } = rpc;
    sample.test_sum(4, 5);
    sample.a = 2;
    sample.a.then(() => {});
    delete sample.a;
  });
  assert.deepEqual(sent.map(([method]) => method), ["sample.test_sum", "rpc.set", "rpc.get", "rpc.delete"]);
});

test("an assignment that fails is reported, and $set rejects", async (t) => {
  const lab = new Lab(t);
  const socket = lab.connect();
  lab.rpc.sample.a = 2;
  await settled();
  socket.refuse(socket.last, -32001);
  await settled();
  assert.equal(lab.errors[0].what, "setting rpc.sample.a failed");
  assert.equal(lab.errors[0].error.code, -32001);
  assert.equal(lab.logged.callCount(), 1);
  const rejected = failure(lab.rpc.sample.$set("a", 2));
  await settled();
  socket.refuse(socket.last, -32001);
  assert.equal((await rejected).code, -32001);
  assert.equal(lab.errors.length, 1);
});

test("values that cannot travel reject, and are reported where they are assigned", async (t) => {
  const lab = new Lab(t);
  const socket = lab.connect();
  const cycle = {};
  cycle.self = cycle;
  assert.match((await failure(lab.rpc.sample.f(cycle))).message, /contains itself/);
  assert.match((await failure(lab.rpc.sample.f(lab.rpc.sample.a))).message, /awaited first/);
  lab.rpc.sample.a = cycle;
  await settled();
  assert.match(lab.errors[0].error.message, /contains itself/);
  assert.deepEqual(socket.received, []);
});

test("mistakes are told clearly", async (t) => {
  const { rpc } = new Lab(t);
  assert.match((await failure(rpc())).message, /rpc is no request/);
  assert.match((await failure(rpc.sample(1))).message, /rpc\.sample is no request/);
  assert.throws(() => new rpc.sample.Motor(), TypeError);
  assert.throws(() => { rpc.sample.$set = 1; }, /no Python attribute/);
  assert.throws(() => { rpc.sample[Symbol.iterator] = 1; }, TypeError);
  assert.throws(() => Object.defineProperty(rpc.sample, "a", { value: 1 }), TypeError);
  assert.throws(() => Object.freeze(rpc.sample), TypeError);
  assert.throws(() => rpc.$options({ timeOut: 3 }), /no option timeOut/);
  assert.throws(() => rpc.$options({ timeout: -1 }), /milliseconds/);
  assert.throws(() => rpc.$options({ timeout: "300" }), /milliseconds/);
});

test("replacing an object is reported, not sent", async (t) => {
  const lab = new Lab(t);
  const socket = lab.connect();
  lab.rpc.sample = 3;
  delete lab.rpc.sample;
  await settled();
  assert.deepEqual(lab.errors.map(({ what }) => what), ["setting rpc.sample failed", "deleting rpc.sample failed"]);
  assert.deepEqual(socket.received, []);
});

test("$options hold for everything below, and add up", async (t) => {
  const lab = new Lab(t);
  const socket = lab.connect();
  const controller = new AbortController();
  const patient = lab.rpc.$options({ timeout: 2_500 }).sample.$options({ signal: controller.signal, idempotent: true });
  const pending = failure(patient.motor.move(1));
  await settled();
  assert.deepEqual(socket.last.params, { path: "sample.motor.move", args: [1], timeout_s: 2.5 });
  controller.abort();
  assert.equal((await pending).name, "AbortError");
  lab.rpc.sample.motor.move(1);
  await settled();
  assert.equal(socket.last.method, "sample.motor.move");
});
