/** Where bound values come from: an object that is away, and sessions that end, on the lab's server. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { Sources } from "../../wispyjs/page/sources.mjs";
import { Lab, settled } from "./support.mjs";

/** What a binding is told: values, and errors by their message. */
function told() {
  const heard = [];
  return { heard, known: (value) => heard.push(value), failed: (error) => heard.push(error.message) };
}

test("a first connection that fails to list is told of once", async (t) => {
  const lab = new Lab(t);
  const listener = told();
  new Sources(lab.rpc).watch(["sample", "a"], listener);
  await settled();
  lab.socket.open();
  for (const request of lab.socket.received) {
    lab.socket.refuse(request, -32001, {}, "there is none");
  }
  await settled();
  assert.deepEqual(listener.heard, ["there is none"]);
});

test("a session that ends while names are asked for leaves no binding behind", async (t) => {
  const lab = new Lab(t);
  const listener = told();
  lab.connect();
  new Sources(lab.rpc).watch(["sample", "a"], listener);
  await settled();
  assert.deepEqual(lab.socket.methods, ["rpc.channels"]);
  lab.socket.lose();
  lab.pass(1_000);
  lab.socket.open(); // another session
  await settled();
  lab.socket.answer(lab.socket.last, {});
  await settled();
  assert.equal(lab.socket.last.method, "rpc.get");
  lab.socket.answer(lab.socket.last, 7);
  await settled();
  assert.equal(listener.heard.at(-1), 7);
});

test("an attribute whose object is away is read again, by one timer, until nobody watches", async (t) => {
  const lab = new Lab(t);
  const listener = told();
  const socket = lab.connect();
  const stop = new Sources(lab.rpc).watch(["sample", "a"], listener);
  await settled();
  socket.answer(socket.last, {});
  const reads = () => socket.received.filter(({ method }) => method === "rpc.get");

  /** Refuses each copy that rpc.js sends by itself, until it gives up. */
  const refuse = async () => {
    const { length } = listener.heard;
    while (listener.heard.length === length) {
      await settled();
      if (socket.last.method === "rpc.get" && !socket.last.isRefused) {
        socket.last.isRefused = true;
        socket.refuse(socket.last, -32005, { retryable: true }, "no owner");
      }
      lab.pass(1_000);
      await settled();
    }
  };
  await refuse();
  const before = reads().length;
  lab.pass(2_000);
  await settled();
  assert.equal(reads().length, before + 1);
  socket.answer(socket.last, 3);
  await settled();
  assert.deepEqual(listener.heard, ["no owner", 3]);
  stop();
  lab.pass(10_000);
  await settled();
  assert.equal(reads().length, before + 1);
});
