/** `get` and `post` against a real HTTP server; `upload` needs a browser, and is tested in tests/browser. */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, test } from "node:test";

import httpReq, { get, HttpError, post } from "../../wispyjs/httpReq.mjs";

/** Answers by the path; `/echo` tells what came. @type {import("node:http").Server} */
let server;
let address = "";

const ANSWERS = {
  "/list.json": [200, "application/json; charset=utf-8", '{"a": [1, 2]}'],
  "/problem": [422, "application/problem+json", '{"message": "no such lamp"}'],
  "/text": [200, "text/plain", '{"a": 1}'],
  "/wrong.json": [200, "application/json", "not json"],
  "/none": [204, "application/json", ""],
  "/refused": [403, "application/json", '{"error": "x.png may not be created"}'],
  "/rpc-error": [500, "application/json", '{"error": {"code": -32000, "message": "it broke"}}'],
  "/page-error": [502, "text/html", "<html><h1>Bad gateway</h1></html>"],
  "/long-error": [400, "text/plain", "x".repeat(10_000)],
};

before(async () => {
  server = createServer((request, response) => {
    const path = request.url?.split("?")[0] ?? "";
    if (path === "/slow") {
      return; // answers never
    }
    let body = "";
    request.on("data", (part) => (body += part));
    request.on("end", () => {
      const told = { method: request.method, url: request.url, type: request.headers["content-type"], body };
      const [status, type, text] = ANSWERS[path] ?? [200, "application/json", JSON.stringify(told)];
      response.writeHead(status, { "Content-Type": type }).end(text);
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  address = `http://127.0.0.1:${server.address().port}`;
});

after(() => {
  server.closeAllConnections();
  server.close();
});

test("an answer is its content", async () => {
  assert.deepEqual(await get(`${address}/list.json`), { a: [1, 2] });
  assert.equal(await get(`${address}/text`), '{"a": 1}');
  assert.equal(await get(`${address}/wrong.json`), "not json");
  assert.equal(await get(new URL(`${address}/none`)), null);
});

test("parameters join the query", async () => {
  const options = { params: { b: "x y&z", c: 3, d: true } };
  assert.equal((await get(`${address}/echo`, options)).url, "/echo?b=x+y%26z&c=3&d=true");
  assert.equal((await get(`${address}/echo?a=1#part`, options)).url, "/echo?a=1&b=x+y%26z&c=3&d=true");
});

test("data is posted as what it is", async () => {
  const json = await post(`${address}/echo`, { a: [1, null] });
  assert.deepEqual([json.method, json.type, json.body], ["POST", "application/json", '{"a":[1,null]}']);
  assert.equal((await post(`${address}/echo`, "text")).body, "text");
  assert.equal((await post(`${address}/echo`, new Uint8Array([65, 66]))).body, "AB");
  assert.equal((await post(`${address}/echo`, new URLSearchParams({ a: "1" }))).type.split(";")[0], "application/x-www-form-urlencoded");
  assert.equal((await post(`${address}/echo`, null)).body, "null");
  assert.equal((await post(`${address}/echo`)).body, "");
  const given = await post(`${address}/echo`, "a,b", { headers: { "Content-Type": "text/csv" } });
  assert.equal(given.type, "text/csv");
});

test("a failure is an error with the server's own words", async () => {
  for (const [path, status, message] of [
    ["/refused", 403, "x.png may not be created"],
    ["/rpc-error", 500, "it broke"],
    ["/problem", 422, "no such lamp"],
    ["/page-error", 502, "502 Bad Gateway"],
    ["/long-error", 400, "x".repeat(500)],
  ]) {
    await assert.rejects(get(`${address}${path}`), (error) => {
      assert.ok(error instanceof HttpError);
      assert.deepEqual([error.status, error.message, error.url], [status, message, `${address}${path}`]);
      return true;
    });
  }
});

test("every request settles", async () => {
  await assert.rejects(get(`${address}/slow`, { timeout: 50 }), { name: "TimeoutError" });
  const stop = new AbortController();
  const asked = get(`${address}/slow`, { signal: stop.signal });
  stop.abort(new Error("enough"));
  await assert.rejects(asked, /enough/);
  await assert.rejects(get("http://127.0.0.1:1/"), TypeError);
});

test("loading it twice gives the same", async () => {
  await import("../../wispyjs/httpReq.js?again");
  assert.equal(globalThis.httpReq, httpReq);
});
