/**
 * wispy in the browser (and in Node 22 or later): `rpc.sample.a` is an attribute of a Python object on a server.
 *
 *     await rpc.sample.a;  rpc.sample.a = 2;  delete rpc.sample.a;  await rpc.sample.test_sum(4, 5);
 *
 * One script tag is all it takes; `rpc.mjs` is the same as an ES module, `rpc.d.mts` says what there is.
 *
 * The rules that this file keeps:
 *
 * - Looking at a proxy never sends anything. A member (`rpc.sample.a`) is a promise that starts when it is
 *   awaited, and is read once; look it up again to read again. `rpc` and `rpc.sample` are not promises.
 * - A request is *waiting* (never sent), *in flight* (sent, not answered) or *settled*. Waiting requests leave
 *   first in, first out, and get their id when they leave; ids rise and are never used again.
 * - Every request settles: by its answer, its own time-out, its AbortSignal, or the loss of its session.
 *   A session outlives its connection: the next one says `rpc.hello` with the session and its token, which this page
 *   keeps in memory only. What was in flight is then asked for again, in the order of the ids, under the same ids and
 *   stamps: the server knows copies, and runs nothing twice. Then it subscribes again from the last known positions,
 *   then waiting requests leave. If the session is over, what was in flight rejects with `executed: "maybe"`.
 * - What was waiting stays, and leaves on the next connection, or rejects with `executed: "no"` when it is too old.
 * - What the server did not run, and calls retryable, is sent again under a new id, a few times within the caller's
 *   time: only if nothing was sent to its object since, or it is a read; never an assignment. What the page calls
 *   idempotent is, too, where it may have run.
 * - A request given up here keeps its place in flight until the server answers, so that `ack` stays true:
 *   it says up to which id every answer has arrived. On the next connection nobody asks for it any more.
 * - An exception in a handler, a failed assignment, a strange message: each is reported by `rpc.$on("error", ...)`
 *   and on the console, and breaks nothing else.
 */
(() => {
  "use strict";

  // An element with this id is a global of this name, too.
  if (typeof globalThis.wispyjs?.createRpc === "function") {
    return; // loaded twice: the first `rpc` stays, with its connection
  }

  const VERSION = "0.1.0";

  /**
   * @typedef {import("./rpc.mjs").Options} Options
   * @typedef {import("./rpc.mjs").Environment} Environment
   * @typedef {import("./rpc.mjs").State} State
   * @typedef {import("./rpc.mjs").Gap} Gap
   * @typedef {import("./rpc.mjs").ChannelHandler} ChannelHandler
   * @typedef {"no" | "maybe" | "yes"} Executed
   * @typedef {{timeout?: number, signal?: AbortSignal, idempotent?: boolean}} Limits
   */

  // ---------------------------------------------------------------------------------------------- errors

  /** Codes of docs/reference/errors.md that this side also gives, where the server cannot answer. */
  const CODE = {
    notStarted: -32002,
    timedOut: -32003,
    overloaded: -32004,
    outcomeUnknown: -32006,
    tooLarge: -32008,
    unauthenticated: -32009,
    unavailable: -32013,
  };

  class RpcError extends Error {
    /** @param {number} code @param {string} message @param {Record<string, any>} [data] */
    constructor(code, message, data = {}) {
      super(message);
      this.name = "RpcError";
      this.code = code;
      this.data = data;
      /** @type {Executed} */
      this.executed = data.executed ?? "maybe"; // a server that says nothing leaves it open
      /** @type {boolean} */
      this.retryable = data.retryable ?? false;
    }

    /** @param {{code: number, message: string, data?: Record<string, any>}} error */
    static fromWire(error) {
      return new RpcError(error.code, error.message, error.data);
    }
  }

  /** @param {number} code @param {string} message @param {boolean} [retryable] */
  const notExecuted = (code, message, retryable = true) =>
    new RpcError(code, message, { executed: "no", retryable });

  /** @param {number} code @param {string} message */
  const perhapsExecuted = (code, message) => new RpcError(code, message, { executed: "maybe", retryable: false });

  // ---------------------------------------------------------------------------------------------- values

  const TAGS = new Set(["$float", "$int", "$dict"]);

  /** Whether a dict would be read as a tag: it has one key, and that is a tag's. @param {object} value */
  function looksLikeTag(value) {
    const names = Object.keys(value);
    return names.length === 1 && TAGS.has(/** @type {string} */ (names[0]));
  }

  /**
   * The JSON value that stands for a JavaScript value; JSON alone would turn NaN into null and a Map into {}.
   *
   * @param {any} value
   * @param {Set<object>} [parents] what contains it, to find cycles
   * @returns {any}
   * @throws {TypeError} where no Python value corresponds
   */
  function encode(value, parents = new Set()) {
    switch (typeof value) {
      case "undefined":
        return null;
      case "number":
        return Number.isFinite(value) ? value : { $float: String(value) };
      case "bigint":
        return Number.isSafeInteger(Number(value)) ? Number(value) : { $int: String(value) };
      case "function":
      case "symbol":
        throw new TypeError(`a ${typeof value} cannot be sent (an attribute of rpc must be awaited first)`);
      case "object":
        return value === null ? null : encodeObject(value, parents);
      default:
        return value;
    }
  }

  /** @param {any} value @param {Set<object>} parents */
  function encodeObject(value, parents) {
    if (parents.has(value)) {
      throw new TypeError("a value that contains itself cannot be sent");
    }
    parents.add(value);
    const encoded = encodeContents(value, parents);
    parents.delete(value);
    return encoded;
  }

  /** @param {any} value @param {Set<object>} parents */
  function encodeContents(value, parents) {
    if (value instanceof Date && Number.isNaN(value.valueOf())) {
      throw new TypeError("an invalid Date cannot be sent"); // its own JSON would be null
    }
    if (typeof value.toJSON === "function") {
      return encode(value.toJSON(), parents);
    }
    if (Array.isArray(value)) {
      return value.map((item) => encode(item, parents));
    }
    if (ArrayBuffer.isView(value) && !(value instanceof DataView)) {
      return Array.from(/** @type {any} */ (value), (item) => encode(item, parents));
    }
    const kind = Object.prototype.toString.call(value).slice("[object ".length, -1);
    if (kind !== "Object") {
      throw new TypeError(`a ${kind} cannot be sent: make it a plain object or array first`);
    }
    const encoded = Object.create(null); // so that a key "__proto__" is a key like any other
    for (const name of Object.keys(value)) {
      encoded[name] = encode(value[name], parents);
    }
    return looksLikeTag(encoded) ? { $dict: encoded } : encoded;
  }

  /** Parses one message, and undoes the tags in place. @param {string} text */
  function parse(text) {
    const message = JSON.parse(text);
    // Most messages hold no tag, and are spared the walk. A "$" may also be written as an escape.
    return text.includes('"$') || text.includes("\\u0024") ? decode(message) : message;
  }

  /** @param {any} value @returns {any} */
  function decode(value) {
    if (typeof value !== "object" || value === null) {
      return value;
    }
    if (Array.isArray(value) || !looksLikeTag(value)) {
      return decodeContents(value);
    }
    if ("$float" in value) {
      return Number(value.$float);
    }
    return "$int" in value ? BigInt(value.$int) : decodeContents(value.$dict);
  }

  /** @param {any} value an array or object, whose own keys these are: assigning reaches no prototype */
  function decodeContents(value) {
    for (const name of Object.keys(value)) {
      value[name] = decode(value[name]);
    }
    return value;
  }

  // ------------------------------------------------------------------------------------- clock and backoff

  /** Redis' clock, as far as this page knows it. Errors make it late: no request is ever taken for younger. */
  class ServerClock {
    /** @type {{ms: number, heardAt: number} | null} */
    #reading = null;
    /** @type {string | undefined} the run id of the server whose clock it is */
    run = undefined;

    /** @param {number} ms the server's clock @param {number} now when it arrived here @param {string} [run] */
    set(ms, now, run) {
      this.#reading = { ms, heardAt: now };
      this.run = run;
    }

    /** @param {number} now @returns {number | null} */
    read(now) {
      return this.#reading && Math.floor(this.#reading.ms + (now - this.#reading.heardAt));
    }
  }

  /** How long to wait before the next try: "full jitter", so that a thousand pages do not come back at once. */
  class Backoff {
    static MIN_MS = 100; // even the luckiest draw is no hot loop
    static MAX_MS = 20_000; // a page is back within 20 s of its server

    #tries = 0;
    #random;
    #baseMs;

    /** @param {() => number} random @param {number} [baseMs] */
    constructor(random, baseMs = 500) {
      this.#random = random;
      this.#baseMs = baseMs;
    }

    next() {
      const limit = Math.min(Backoff.MAX_MS, this.#baseMs * 2 ** this.#tries);
      this.#tries = Math.min(this.#tries + 1, 30); // 2 ** 30 is beyond every limit
      return Backoff.MIN_MS + this.#random() * limit;
    }

    reset() {
      this.#tries = 0;
    }
  }

  // ---------------------------------------------------------------------------------------------- events

  /** Who listens to `rpc.$on`, and where trouble is reported that no promise carries. */
  class Events {
    /** @type {Record<string, Set<(...args: any[]) => void>>} */
    #listeners = { state: new Set(), error: new Set(), gap: new Set() };

    /** @param {string} event @param {(...args: any[]) => void} listener */
    on(event, listener) {
      const listeners = this.#listeners[event];
      if (!listeners || typeof listener !== "function") {
        throw new TypeError('$on takes "state", "error" or "gap", and a function');
      }
      listeners.add(listener);
      return () => void listeners.delete(listener);
    }

    /** @param {"state" | "error" | "gap"} event @param {...unknown} details */
    emit(event, ...details) {
      for (const listener of [.../** @type {Set<any>} */ (this.#listeners[event])]) {
        try {
          listener(...details);
        } catch (error) {
          console.error(`wispy: a listener of "${event}" failed:`, error);
        }
      }
    }

    /** @param {unknown} error @param {string} what */
    report(error, what) {
      console.error(`wispy: ${what}:`, error);
      this.emit("error", error, what);
    }
  }

  // -------------------------------------------------------------------------------------------- requests

  /** What changes nothing may be repeated at any time. */
  const READS = new Set(["rpc.get", "rpc.describe", "rpc.source", "rpc.channels", "rpc.discover"]);

  /** What is never repeated: a value of a moment ago over one that somebody else has set since. */
  const ASSIGNMENTS = new Set(["rpc.set", "rpc.delete"]);

  /** The name of the object that a request is for, if it is for one. @param {string} method @param {any} params */
  function objectOf(method, params) {
    if (!method.startsWith("rpc.")) {
      return method.slice(0, method.indexOf("."));
    }
    const path = params?.path;
    return path === undefined ? undefined : String(typeof path === "string" ? path.split(".", 1)[0] : path[0]);
  }

  /** One request on its way. */
  class Request {
    settled = false; // it may still be in flight
    release = () => {}; // stops its time-out and its listening to a signal
    /** It is about the connection itself, and ends with it. */
    bound = false;
    /** The newest id that it was sent under; 0: never. */
    id = 0;
    /** @type {number | undefined} when it was first sent under that id, on the server's clock */
    at = undefined;
    /** @type {string | undefined} the run of the server whose clock that was */
    run = undefined;
    /** @type {string | undefined} */
    object = undefined;
    idempotent = false;
    /** Until when it may be repeated. */
    deadline = -Infinity;
    /** How often it was repeated under a new id. */
    repeats = 0;
    /** It went out before, and nobody knows whether it ran. */
    mayHaveRun = false;

    /**
     * @param {string} method
     * @param {string} params as JSON, so that what the caller changes later does not travel
     * @param {number} issuedAt
     * @param {Record<"resolve" | "reject", (value: any) => void>} outcome
     */
    constructor(method, params, issuedAt, outcome) {
      this.method = method;
      this.params = params;
      this.issuedAt = issuedAt;
      this.outcome = outcome;
    }

    /** Rejects. That its last copy did not run says nothing of the one before. @param {RpcError} error */
    fail(error) {
      const data = { ...error.data, executed: "maybe", retryable: false };
      const isOpen = this.mayHaveRun && error.executed === "no";
      this.settle("reject", isOpen ? new RpcError(error.code, error.message, data) : error);
    }

    /** @param {"resolve" | "reject"} how @param {unknown} value */
    settle(how, value) {
      if (!this.settled) {
        this.settled = true;
        this.release();
        this.outcome[how](value);
      }
    }
  }

  /** The requests of one `rpc`: the queue, what is in flight, ids and acknowledgement. */
  class Requests {
    static MAX_WAITING = 10_000; // an endless loop of calls ends in an error, not in a full memory
    static OPEN_WINDOW = 256; // ids: four times what may be in flight
    static MAX_OPEN = 64; // the server takes no more
    static ENVELOPE_BYTES = 400 + 20 * Requests.MAX_OPEN; // at most, beside method and params: a run, and ids
    static REPEATS = 4; // of one request: together some 8 s at most, as long as a worker may take to come back
    static REPEAT_MS = 10_000; // who set no time-out is not kept longer than this by repeating
    static REPEAT_BASE_MS = 250; // an overloaded server is over it within a second
    static MAX_OBJECTS = 1_000; // as many as a frontend relays to

    /** @type {Set<Request>} never sent; first in, first out */
    #waiting = new Set();
    /** @type {Map<number, Request>} sent and not answered, in the order of their ids */
    #inFlight = new Map();
    /** the newest id ever used */
    #lastId = 0;
    /** @type {((text: string) => void) | null} the open socket's */
    #send = null;
    /** how many may be in flight; 0: requests wait, only `immediate` ones leave */
    #room = 0;
    /** the longest message that the server takes */
    #maxBytes = Infinity;
    /** @type {Map<Request, ReturnType<typeof setTimeout>>} what is to be repeated, until it waits again */
    #resting = new Map();
    /** @type {Map<string, number>} object to the newest id that was sent to it */
    #newest = new Map();
    #clock;
    #now;
    #random;

    /** @param {ServerClock} clock @param {() => number} now @param {() => number} random */
    constructor(clock, now, random) {
      this.#clock = clock;
      this.#now = now;
      this.#random = random;
    }

    get idle() {
      return this.#inFlight.size === 0;
    }

    /** @param {string} method @param {unknown} params @param {Limits} [limits] @returns {Promise<any>} */
    issue(method, params, { timeout, signal, idempotent = false } = {}) {
      return new Promise((resolve, reject) => {
        signal?.throwIfAborted();
        const waiting = this.#waiting.size + this.#resting.size;
        if (waiting >= Requests.MAX_WAITING) {
          throw notExecuted(CODE.overloaded, `${waiting} requests wait already`);
        }
        const request = new Request(method, JSON.stringify(encode(params)), this.#now(), { resolve, reject });
        request.object = objectOf(method, params);
        request.idempotent = idempotent;
        request.deadline = request.issuedAt + (timeout ?? Requests.REPEAT_MS);
        this.#watch(request, timeout, signal);
        this.#waiting.add(request);
        this.#flush();
      });
    }

    /**
     * A request about the connection itself: it passes the queue, and must only be made on an open connection.
     *
     * @param {string} method
     * @param {unknown} params
     * @param {(result: any) => void} resolve called before the next message is read, unlike a promise
     * @param {(error: RpcError) => void} reject
     */
    immediate(method, params, resolve, reject) {
      const request = new Request(method, JSON.stringify(params), this.#now(), { resolve, reject });
      request.bound = true;
      this.#transmit(request);
    }

    /** A socket is open, and only `immediate` requests may use it yet. @param {(text: string) => void} send */
    attach(send) {
      this.#send = send;
    }

    /** The server has said hello. @param {{in_flight: number, message_bytes?: number}} limits */
    open(limits) {
      // One place stays free: a server that stops reading when all are taken could not read a cancel.
      this.#room = Math.max(1, limits.in_flight - 1);
      this.#maxBytes = limits.message_bytes ?? Infinity;
      this.#flush();
    }

    /** Lets nothing more leave on this connection. */
    hold() {
      this.#room = 0;
    }

    /** The connection is gone, and the session may go on over the next one. @param {string} reason */
    suspend(reason) {
      this.#send = null;
      this.#room = 0;
      for (const [id, request] of this.#inFlight) {
        if (request.bound || request.settled) {
          this.#inFlight.delete(id);
          request.settle("reject", unanswered(request, reason));
        }
      }
    }

    /** The session goes on: asks again for all that is unanswered. */
    resume() {
      for (const [id, request] of this.#inFlight) {
        if (request.settled) { // given up while there was no connection
          this.#inFlight.delete(id);
        }
      }
      const acknowledged = this.#acknowledged();
      for (const [id, request] of this.#inFlight) {
        if (!request.bound) {
          this.#write(id, request, { ...acknowledged, at: request.at, run: request.run, retry: true });
        }
      }
    }

    /** The session is over: what was sent in it may have run. @param {string} reason @param {boolean} [again] */
    abandon(reason, again = true) {
      const open = [...this.#inFlight.values()].filter(({ bound }) => !bound);
      for (const request of open) {
        this.#inFlight.delete(request.id);
      }
      for (const request of open) {
        const error = unanswered(request, reason);
        if (!again || !this.#repeats(request, error)) {
          request.settle("reject", error);
        }
      }
    }

    /** Ends what is not on its way. @param {string} reason @param {number} [issuedBefore] */
    refuseWaiting(reason, issuedBefore = Infinity) {
      for (const request of [...this.#waiting, ...this.#resting.keys()]) {
        if (request.issuedAt < issuedBefore) {
          this.#take(request);
          request.fail(notExecuted(CODE.unavailable, `${request.method} was not sent: ${reason}`));
        }
      }
    }

    /** Takes a request out of the queue, or from its rest; whether it was there. @param {Request} request */
    #take(request) {
      const timer = this.#resting.get(request);
      clearTimeout(timer);
      return this.#resting.delete(request) || this.#waiting.delete(request);
    }

    /** @param {{id: number, result?: unknown, error?: any}} message */
    answered(message) {
      const request = this.#inFlight.get(message.id);
      if (!request) {
        throw new Error(`an answer to no request: ${JSON.stringify(message.error ?? message.id)}`);
      }
      this.#inFlight.delete(message.id);
      if (message.error) {
        const error = RpcError.fromWire(message.error);
        if (!this.#repeats(request, error)) {
          request.fail(error);
        }
      } else {
        request.settle("resolve", message.result);
      }
      this.#flush();
    }

    /** Sends a request again after a while, if that may be done; whether it will. @param {Request} request @param {RpcError} error */
    #repeats(request, error) {
      const isHarmless = error.executed === "no" && error.retryable;
      const isAllowed = request.idempotent && error.code === CODE.outcomeUnknown;
      const limit = Math.min(Backoff.MAX_MS, Requests.REPEAT_BASE_MS * 2 ** request.repeats);
      // Who is told for how long he asks too often need not find it out.
      const waitMs = Math.max(Backoff.MIN_MS + this.#random() * limit, Number(error.data.retry_in_ms) || 0);
      if (
        !(isHarmless || isAllowed) ||
        request.bound ||
        request.settled ||
        request.repeats >= Requests.REPEATS ||
        this.#now() + waitMs >= request.deadline ||
        !this.#isNewest(request)
      ) {
        return false;
      }
      request.repeats += 1;
      request.mayHaveRun ||= !isHarmless;
      const timer = setTimeout(() => {
        this.#resting.delete(request);
        if (this.#isNewest(request)) {
          this.#waiting = new Set([request, ...this.#waiting]); // what was asked for later must not overtake it
          this.#flush();
        } else {
          request.fail(error);
        }
      }, waitMs);
      this.#resting.set(request, timer);
      return true;
    }

    /** Whether a request can be repeated without changing the order of what its object does. @param {Request} request */
    #isNewest({ method, object, id }) {
      return READS.has(method) || (!ASSIGNMENTS.has(method) && object !== undefined && this.#newest.get(object) === id);
    }

    #flush() {
      for (const request of this.#waiting) {
        if (this.#inFlight.size >= this.#room) {
          return;
        }
        this.#waiting.delete(request);
        this.#transmit(request);
      }
    }

    /** @param {Request} request */
    #transmit(request) {
      if (!this.#fits(request)) {
        const message = `${request.method} has more than the ${this.#maxBytes} bytes that the server takes`;
        request.fail(notExecuted(CODE.tooLarge, message, false));
        return;
      }
      const acknowledged = this.#acknowledged();
      const id = ++this.#lastId;
      this.#inFlight.set(id, request);
      request.id = id;
      request.at = this.#clock.read(this.#now()) ?? undefined;
      request.run = this.#clock.run;
      if (request.object !== undefined) {
        this.#noteNewest(request.object, id);
      }
      this.#write(id, request, { ...acknowledged, at: request.at });
    }

    /** @param {string} object @param {number} id */
    #noteNewest(object, id) {
      if (this.#newest.size >= Requests.MAX_OBJECTS && !this.#newest.has(object)) {
        this.#newest.clear(); // what was sent before is not repeated then
      }
      this.#newest.set(object, id);
    }

    /** @param {number} id @param {Request} request @param {object} members wispy's own */
    #write(id, request, members) {
      const method = JSON.stringify(request.method);
      const wispy = JSON.stringify(members);
      this.#send?.(`{"jsonrpc":"2.0","id":${id},"method":${method},"params":${request.params},"wispy":${wispy}}`);
    }

    /**
     * Up to which id all answers are here. One call that takes a minute must not keep the owner from forgetting the
     * answers given since: far behind, what is still open is named one by one.
     * @returns {{ack: number, open?: number[]}}
     */
    #acknowledged() {
      const oldest = this.#inFlight.keys().next();
      if (oldest.done) {
        return { ack: this.#lastId };
      }
      if (this.#lastId - oldest.value < Requests.OPEN_WINDOW) {
        return { ack: oldest.value - 1 };
      }
      const ids = [...this.#inFlight.keys()];
      const next = ids[Requests.MAX_OPEN];
      return { ack: next === undefined ? this.#lastId : next - 1, open: ids.slice(0, Requests.MAX_OPEN) };
    }

    /** A message that is too long would end the whole connection. @param {Request} request */
    #fits({ method, params }) {
      const room = this.#maxBytes - Requests.ENVELOPE_BYTES;
      const units = method.length + params.length; // of UTF-16: each is at most 3 bytes of UTF-8
      return units * 3 <= room || new TextEncoder().encode(method + params).length <= room;
    }

    /**
     * Ends a request that its caller gives up.
     *
     * @param {Request} request
     * @param {number} [timeout]
     * @param {AbortSignal} [signal]
     */
    #watch(request, timeout, signal) {
      /** @param {(sent: boolean) => unknown} reason */
      const giveUp = (reason) => {
        const sent = !this.#take(request);
        request.settle("reject", reason(sent || request.mayHaveRun));
        if (sent) {
          this.#cancel(request);
        }
      };
      const onAbort = () => giveUp(() => signal?.reason);
      const onTimeout = () => giveUp((sent) => timedOut(request, /** @type {number} */ (timeout), sent));
      const timer = timeout === undefined ? undefined : setTimeout(onTimeout, timeout);
      signal?.addEventListener("abort", onAbort);
      request.release = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", onAbort);
      };
    }

    /** Asks the server to cancel, without an id: the request itself is answered. @param {Request} request */
    #cancel({ id }) {
      this.#send?.(`{"jsonrpc":"2.0","method":"rpc.cancel","params":{"id":${id}}}`);
    }
  }

  /** @param {Request} request @param {string} reason */
  const unanswered = (request, reason) =>
    perhapsExecuted(CODE.outcomeUnknown, `${reason}, before ${request.method} was answered`);

  /** @param {Request} request @param {number} timeout @param {boolean} sent */
  function timedOut(request, timeout, sent) {
    return sent
      ? perhapsExecuted(CODE.timedOut, `${request.method} was not answered within ${timeout} ms`)
      : notExecuted(CODE.notStarted, `${request.method} could not be sent within ${timeout} ms`);
  }

  // -------------------------------------------------------------------------------------------- channels

  /**
   * @typedef {object} Listener one handler on one channel
   * @property {ChannelHandler} call
   * @property {boolean} wantsCurrent it has yet to be called with the current value
   * @property {((gap: Gap) => void) | undefined} onGap
   */

  /** A channel that something listens to. */
  class Subscription {
    /** @type {"wanted" | "asked" | "live"} wanted: the present connection does not know of it yet */
    state = "wanted";
    /** It was live before: from then on it is never given up, whatever the server says. */
    established = false;
    /** How often in a row it was refused for good, as it seemed. */
    denials = 0;
    /** @type {Map<ChannelHandler, Listener>} */
    listeners = new Map();
    /** @type {unknown} the newest value, of a value channel */
    value = undefined;
    /** It has a current value: it is a value channel. */
    retained = false;
    /** @type {string | undefined} the position of the last update */
    at = undefined;
    /** @type {() => void} */
    confirm = () => {};
    /** @type {(error: unknown) => void} */
    refuse = () => {};

    /** @param {string} name */
    constructor(name) {
      this.name = name;
      this.shortName = name.slice(name.indexOf(".") + 1);
      /** @type {Promise<void>} settles with the server's first answer */
      this.confirmed = new Promise((resolve, reject) => {
        this.confirm = resolve;
        this.refuse = reject;
      });
      this.confirmed.catch(() => {}); // each caller of `add` sees it; without a caller nobody misses it
    }
  }

  /** What this page subscribed to, and how far each channel has come. */
  class Channels {
    static BATCH = 512; // channels in one message: a page with thousands must not send one that is too long

    /** @type {Map<string, Subscription>} by full name */
    #subscriptions = new Map();
    /** the connection is open */
    #open = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} of the next try for refused ones */
    #retry = undefined;
    #backoff;
    #requests;
    #events;

    /** @param {Requests} requests @param {Events} events @param {() => number} random */
    constructor(requests, events, random) {
      this.#requests = requests;
      this.#events = events;
      this.#backoff = new Backoff(random);
    }

    /**
     * @param {string[]} names full ones
     * @param {(name: string) => Listener} listenerOf
     * @returns {Promise<void>} when the server has confirmed them, but for those that were removed before
     */
    async add(names, listenerOf) {
      const subscriptions = names.map((name) => this.#subscriptions.get(name) ?? new Subscription(name));
      for (const subscription of subscriptions) {
        const listener = listenerOf(subscription.name);
        this.#subscriptions.set(subscription.name, subscription);
        subscription.listeners.set(listener.call, listener);
        if (subscription.retained && listener.wantsCurrent) {
          queueMicrotask(() => this.#greet(subscription, listener));
        }
      }
      this.#ask();
      await Promise.all(subscriptions.map((subscription) => subscription.confirmed));
    }

    /** @param {string} name @param {ChannelHandler} [handler] all of the channel's if absent */
    remove(name, handler) {
      const subscription = this.#subscriptions.get(name);
      if (!subscription) {
        return;
      }
      if (handler) {
        subscription.listeners.delete(handler);
      } else {
        subscription.listeners.clear();
      }
      if (subscription.listeners.size === 0) {
        this.#subscriptions.delete(name);
        subscription.confirm(); // nobody is to wait for an answer that means nothing any more
        if (this.#open && subscription.state !== "wanted") {
          this.#requests.immediate("rpc.unsubscribe", { channels: [name] }, () => {}, (error) => {
            if (this.#open) { // a lost connection has left it, too
              this.#events.report(error, `leaving ${name} failed`);
            }
          });
        }
      }
    }

    /** @param {string} name */
    valueOf(name) {
      return this.#subscriptions.get(name)?.value;
    }

    opened() {
      this.#open = true;
      this.#ask();
    }

    closed() {
      this.#open = false;
      clearTimeout(this.#retry);
      this.#retry = undefined;
      for (const subscription of this.#subscriptions.values()) {
        subscription.state = "wanted";
      }
    }

    /** @param {{channel: string, value: unknown, at: string}} update */
    updated({ channel, value, at }) {
      const subscription = this.#subscriptions.get(channel);
      if (subscription?.state === "live") { // else it is of a subscription that ended
        subscription.at = at;
        this.#deliver(subscription, value, () => true);
      }
    }

    /** @param {Gap} gap */
    missed(gap) {
      const subscription = this.#subscriptions.get(gap.channel);
      if (subscription?.state === "live") {
        subscription.at = gap.to;
        this.#events.emit("gap", gap);
        for (const { onGap } of [...subscription.listeners.values()]) {
          this.#guard(subscription, () => onGap?.(gap));
        }
      }
    }

    /** Subscribes to what is wanted and not yet asked for. */
    #ask() {
      if (!this.#open) {
        return;
      }
      const wanted = [...this.#subscriptions.values()].filter(({ state }) => state === "wanted");
      for (let start = 0; start < wanted.length; start += Channels.BATCH) {
        this.#askFor(wanted.slice(start, start + Channels.BATCH));
      }
    }

    /** @param {Subscription[]} batch */
    #askFor(batch) {
      const since = Object.fromEntries(batch.filter(({ at }) => at).map(({ name, at }) => [name, at]));
      const channels = batch.map(({ name }) => name);
      for (const subscription of batch) {
        subscription.state = "asked";
      }
      this.#requests.immediate(
        "rpc.subscribe",
        Object.keys(since).length ? { channels, since } : { channels },
        (result) => {
          for (const subscription of batch.filter((each) => this.#subscriptions.get(each.name) === each)) {
            const entry = result[subscription.name];
            if (entry.error) {
              this.#refused(subscription, RpcError.fromWire(entry.error));
            } else {
              this.#confirmed(subscription, entry);
            }
          }
        },
        (error) => {
          if (this.#open) { // a lost connection asks again by itself
            batch.forEach((subscription) => this.#refused(subscription, error));
          }
        },
      );
    }

    /** @param {Subscription} subscription @param {{value?: unknown, at: string}} entry */
    #confirmed(subscription, entry) {
      const changed = subscription.established && entry.at !== subscription.at;
      subscription.state = "live";
      subscription.established = true;
      subscription.denials = 0;
      subscription.confirm();
      this.#backoff.reset();
      if ("value" in entry) {
        subscription.retained = true;
        subscription.at = entry.at;
        this.#deliver(subscription, entry.value, ({ wantsCurrent }) => changed || wantsCurrent);
      } else {
        subscription.at ??= entry.at; // what was missed since then follows as updates, each with its position
      }
    }

    /**
     * A channel that has worked, or may work soon (its owner is still starting), is tried again; a wrong name is not.
     *
     * @param {Subscription} subscription
     * @param {RpcError} error
     */
    #refused(subscription, error) {
      subscription.state = "wanted";
      if (!subscription.established && !error.retryable) {
        this.#subscriptions.delete(subscription.name);
        subscription.refuse(error);
        return;
      }
      subscription.denials += error.retryable ? 0 : 1;
      if (subscription.denials === 2) { // told once; the first time a server may be just coming back
        this.#events.report(error, `following ${subscription.name} failed`);
      }
      this.#retry ??= setTimeout(() => {
        this.#retry = undefined;
        this.#ask();
      }, this.#backoff.next());
    }

    /** @param {Subscription} subscription @param {Listener} listener */
    #greet(subscription, listener) {
      if (listener.wantsCurrent && subscription.listeners.get(listener.call) === listener) {
        this.#deliver(subscription, subscription.value, (each) => each === listener);
      }
    }

    /** @param {Subscription} subscription @param {unknown} value @param {(listener: Listener) => boolean} isFor */
    #deliver(subscription, value, isFor) {
      if (subscription.retained) {
        subscription.value = value;
      }
      for (const listener of [...subscription.listeners.values()].filter(isFor)) {
        if (subscription.listeners.get(listener.call) === listener) { // else the one before has removed it
          listener.wantsCurrent = false;
          this.#guard(subscription, () => listener.call(value, subscription.shortName));
        }
      }
    }

    /** @param {Subscription} subscription @param {() => void} call */
    #guard(subscription, call) {
      try {
        call();
      } catch (error) {
        this.#events.report(error, `a handler of channel ${subscription.name} failed`);
      }
    }
  }

  // ------------------------------------------------------------------------------------------ connection

  /**
   * The websocket: opened at the first use, watched, and opened again when it is lost.
   *
   *     idle --start--> connecting --hello answered--> connected
   *     connected or resumed --connection lost--> connecting --hello answered--> resumed: all goes on
   *     connecting --no connection for the session's window, or the server does not know it--> lost --> connected
   *     any --close--> closed --start--> connecting
   *
   * The window is not looked at while a hello is on its way that names the session: the answer says what became of it.
   *
   * A browser does not show the server's pings to its pages, so a connection on which nothing was heard for longer
   * than they need is probed with the cheapest request there is. Without that, a page that only listens would
   * show old values for ever after its network went away without a word.
   */
  class Connection {
    static WATCH_MS = 5_000; // how often silence, sleep and old requests are looked for
    static ANSWER_MS = 10_000; // a server that has not said hello, or answered a probe, by then is gone
    static PATIENCE_MS = 30_000; // without a connection for so long, a waiting click is no longer meant
    static SLEEP_MS = 2_000; // of sleep that the clock missed: with max_start_delay (3 s) requests would look too old
    static STABLE_MS = 10_000; // a connection that lived so long was a good one: the backoff starts anew
    static LEAVE_MS = 1_000; // for the last answers of a server that is closing; a longer call goes along
    static WINDOW_S = 60; // of a server that does not say

    /** @type {State} */
    state = "idle";
    /** @type {string | null} */
    url = null;

    /** @type {WebSocket | null} */
    #socket = null;
    /** when the present try began */
    #openedAt = 0;
    /** when anything was last heard, on any connection */
    #heardAt = 0;
    /** since when nothing can be sent */
    #lostAt = 0;
    /** @type {number | null} when a probe was sent that nothing has answered */
    #probedAt = null;
    /** milliseconds of silence before a probe */
    #quietMs = 0;
    /** the calendar's distance from our clock when the server's was read */
    #wallOffset = 0;
    /** @type {number | null} when to move to another frontend, because this one said that it is closing */
    #leaveAt = null;
    /** @type {{session: string, token: string, windowMs: number} | null} in memory only */
    #session = null;
    /** @type {string | null} says who this page's user is; in memory only */
    #token = null;
    /** @type {string | null} the newest one that the server took */
    #goodToken = null;
    /** @type {{resolve: (who: any) => void, reject: (error: RpcError) => void}[]} who wait to hear who they are */
    #logins = [];
    /** @type {ReturnType<typeof setTimeout> | undefined} of giving the session up */
    #window = undefined;
    /** @type {ReturnType<typeof setTimeout> | undefined} of the next try, or of leaving */
    #timer = undefined;
    /** @type {ReturnType<typeof setInterval> | undefined} */
    #watch = undefined;
    #backoff;
    #environment;
    #requests;
    #channels;
    #clock;
    #events;

    /**
     * @param {Environment} environment
     * @param {{requests: Requests, channels: Channels, clock: ServerClock, events: Events}} parts
     */
    constructor(environment, parts) {
      this.#environment = environment;
      this.#backoff = new Backoff(environment.random);
      ({ requests: this.#requests, channels: this.#channels, clock: this.#clock, events: this.#events } = parts);
    }

    /** @param {boolean} [again] also after `close` @throws {RpcError} after it otherwise, or if no server is known */
    start(again = false) {
      if (this.state === "closed" && !again) {
        throw notExecuted(CODE.unavailable, "the connection was closed: call rpc.$connect() to open it again", false);
      }
      if (this.state !== "idle" && this.state !== "closed") {
        return;
      }
      if (!this.url) {
        throw notExecuted(CODE.unavailable, "no server is known: call rpc.$connect(url) first", false);
      }
      try {
        this.#open();
      } catch (error) { // a secure page may open no ws: address; the state stays, so that the next use says so, too
        throw notExecuted(CODE.unavailable, `${this.url} cannot be connected to: ${/** @type {Error} */ (error).message}`, false);
      }
      this.#lostAt = this.#openedAt;
      this.#watch = setInterval(() => this.#look(), Connection.WATCH_MS);
      this.#become("connecting", { reason: `to ${this.url}` });
    }

    /** Does not wait any longer before the next try. */
    hurry() {
      if (this.#socket === null && (this.state === "connecting" || this.state === "lost")) {
        clearTimeout(this.#timer);
        this.#open();
      }
    }

    get isOpen() {
      return this.state === "connected" || this.state === "resumed";
    }

    /** @param {string} reason */
    close(reason) {
      clearInterval(this.#watch);
      clearTimeout(this.#window);
      this.#session = null;
      this.#token = this.#goodToken = null;
      this.#disconnect(reason);
      this.#logins.splice(0).forEach(({ reject }) => reject(notExecuted(CODE.unavailable, reason, false)));
      this.#requests.abandon(reason, false);
      this.#requests.refuseWaiting(reason);
      this.#become("closed", { reason });
    }

    #open() {
      const socket = new this.#environment.WebSocket(/** @type {string} */ (this.url));
      this.#socket = socket;
      this.#openedAt = this.#environment.now();
      socket.onopen = () => this.#greet(socket);
      socket.onmessage = ({ data }) => this.#receive(data);
      socket.onclose = ({ code, reason }) => this.#lose(reason || "the connection was lost", code);
    }

    /** @param {WebSocket} socket */
    #greet(socket) {
      this.#requests.attach((text) => socket.send(text));
      const refused = (/** @type {RpcError} */ error) => {
        if (this.#socket !== socket) {
          return; // the connection was lost, which is told by itself
        }
        if (!error.retryable) {
          this.#events.report(error, "the server refused the connection");
        }
        this.#lose(`the server refused the connection: ${error.message}`);
      };
      if (this.#token === null) {
        this.#sayHello(refused);
      } else {
        this.#login(() => this.#sayHello(refused), refused);
      }
    }

    /** @param {(error: RpcError) => void} refused */
    #sayHello(refused) {
      const client = `wispyjs/${VERSION}`;
      const former = this.#session && { session: this.#session.session, token: this.#session.token };
      clearTimeout(this.#window); // whether the session goes on is the server's to say now
      this.#requests.immediate("rpc.hello", { client, ...former }, (hello) => this.#welcome(hello), refused);
    }

    /**
     * Shows the server who the user is: now, if there is a connection, and first of all on each later one.
     *
     * @param {string} token
     * @returns {Promise<{user: string, roles: string[]}>}
     */
    authenticate(token) {
      this.start();
      this.#token = token;
      const answer = new Promise((resolve, reject) => this.#logins.push({ resolve, reject }));
      if (this.isOpen) {
        this.#login(() => {}, () => {});
      } else {
        this.hurry();
      }
      return answer;
    }

    /** @param {() => void} then @param {(error: RpcError) => void} refused */
    #login(then, refused) {
      const token = this.#token;
      const waiting = this.#logins.splice(0); // who comes later waits for the answer to his own token
      const told = (/** @type {any} */ who) => {
        this.#goodToken = token;
        waiting.forEach(({ resolve }) => resolve(who));
        then();
      };
      const failed = (/** @type {RpcError} */ error) => {
        if (error.executed === "no" && !error.retryable) {
          if (this.#goodToken === token) {
            this.#goodToken = null; // it was good, and would not be on the next connection
          }
          if (this.#token === token) {
            this.#token = this.#goodToken;
          }
          waiting.forEach(({ reject }) => reject(error));
        } else {
          this.#logins.unshift(...waiting); // the next connection tries again
        }
        refused(error);
      };
      this.#requests.immediate("rpc.authenticate", { token }, told, failed);
    }

    /** @param {any} hello */
    #welcome(hello) {
      const { now, wallClock } = this.#environment;
      this.#clock.set(hello.ms, now(), hello.run);
      this.#wallOffset = wallClock() - now();
      this.#quietMs = hello.ping_interval_s * 1000 + Connection.ANSWER_MS;
      const socket = this.#socket;
      if (hello.resumed) {
        this.#requests.resume();
      } else if (this.#session) {
        this.#giveUp("the server does not know the session any more");
        if (this.#socket !== socket) {
          return; // a listener, who heard of it, has closed
        }
      }
      const windowMs = (hello.session_window_s ?? Connection.WINDOW_S) * 1000;
      this.#session = { session: hello.session, token: hello.token, windowMs };
      if (this.#logins.length > 0) { // who came while hello was on its way
        this.#login(() => {}, () => {});
      }
      this.#channels.opened();
      this.#requests.open(hello.limits);
      this.#become(hello.resumed ? "resumed" : "connected", { reason: "" }); // last: a listener may close
    }

    /** The session is over; a new one begins with the next hello. @param {string} reason */
    #giveUp(reason) {
      this.#session = null;
      this.#requests.abandon(reason);
      this.#become("lost", { reason });
    }

    /** @param {string} text */
    #receive(text) {
      this.#heardAt = this.#environment.now();
      this.#probedAt = null;
      try {
        const message = parse(text);
        if ("method" in message) {
          this.#notified(message.method, message.params);
        } else {
          this.#requests.answered(message);
        }
      } catch (error) {
        this.#events.report(error, "the server sent a message that cannot be understood");
      }
      if (this.#leaveAt !== null) {
        this.#leave();
      }
    }

    /** @param {string} method @param {any} params */
    #notified(method, params) {
      switch (method) {
        case "rpc.update":
          return this.#channels.updated(params);
        case "rpc.gap":
          return this.#channels.missed(params);
        case "rpc.clock":
          return this.#clock.set(params.ms, this.#environment.now(), params.run);
        case "rpc.closing":
          return this.#prepareToLeave(params.reconnect_in_ms);
        default: // a newer server may tell more than this page knows of
      }
    }

    /**
     * The frontend is going. Nothing more is sent to it; what it has, it answers. What takes longer goes along.
     *
     * @param {number} delayMs after which to connect elsewhere: the server spreads its clients out
     */
    #prepareToLeave(delayMs) {
      this.#requests.hold();
      this.#leaveAt = this.#environment.now() + delayMs;
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => {
        this.#timer = setTimeout(() => this.#lose("the server is closing"), Connection.LEAVE_MS);
        this.#leave();
      }, delayMs);
    }

    #leave() {
      if (this.#socket && this.#requests.idle && this.#environment.now() >= /** @type {number} */ (this.#leaveAt)) {
        this.#lose("the server is closing");
      }
    }

    /** @param {string} reason @param {number} [code] */
    #lose(reason, code) {
      const now = this.#environment.now();
      if (this.isOpen) {
        this.#lostAt = now;
        if (now - this.#openedAt > Connection.STABLE_MS) {
          this.#backoff.reset();
        }
      }
      const waitMs = this.#leaveAt === null ? this.#backoff.next() : Math.max(0, this.#leaveAt - now);
      this.#disconnect(reason);
      this.#timer = setTimeout(() => this.#open(), waitMs);
      if (this.#session) {
        const { windowMs } = this.#session;
        const tooLong = `there was no connection for ${windowMs / 1000} s`;
        clearTimeout(this.#window);
        this.#window = setTimeout(() => this.#giveUp(tooLong), Math.max(0, this.#lostAt + windowMs - now));
      }
      if (this.state !== "lost") { // it stays so until a new session begins
        this.#become("connecting", { reason, code });
      }
    }

    /** Drops the socket for good: nothing that it may still receive is taken for the next one's. @param {string} reason */
    #disconnect(reason) {
      clearTimeout(this.#timer);
      if (this.#socket) {
        this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
        this.#socket.close();
      }
      this.#socket = null;
      this.#leaveAt = null;
      this.#probedAt = null;
      this.#channels.closed();
      this.#requests.suspend(reason);
    }

    #look() {
      const now = this.#environment.now();
      if (this.isOpen) {
        this.#lookForLife(now);
        return;
      }
      if (this.#socket && now - this.#openedAt > Connection.ANSWER_MS) {
        this.#lose("the server did not answer");
      }
      if (now - this.#lostAt > Connection.PATIENCE_MS) { // also where a server answers, and wants a login first
        const reason = `there was no connection for ${Connection.PATIENCE_MS / 1000} s`;
        this.#requests.refuseWaiting(reason, now - Connection.PATIENCE_MS);
      }
    }

    /** @param {number} now */
    #lookForLife(now) {
      const wallOffset = this.#environment.wallClock() - now;
      const gainedMs = wallOffset - this.#wallOffset;
      this.#wallOffset = Math.min(wallOffset, this.#wallOffset); // a calendar that was put back must hide no later sleep
      if (gainedMs > Connection.SLEEP_MS) {
        this.#lose("the computer slept"); // a new hello reads the clock again
      } else if (this.#probedAt !== null && now - this.#probedAt > Connection.ANSWER_MS) {
        this.#lose("the server fell silent");
      } else if (this.#probedAt === null && now - this.#heardAt > this.#quietMs) {
        this.#probe();
      }
    }

    #probe() {
      this.#probedAt = this.#environment.now();
      const anyAnswerWillDo = () => {};
      this.#requests.immediate("rpc.unsubscribe", { channels: [] }, anyAnswerWillDo, anyAnswerWillDo);
    }

    /** @param {State} state @param {{reason: string, code?: number}} detail */
    #become(state, detail) {
      this.state = state;
      this.#events.emit("state", state, detail);
    }
  }

  // ---------------------------------------------------------------------------------------------- client

  /** All of one `rpc`, behind its proxies. */
  class Client {
    /** @param {Partial<Environment>} environment */
    constructor(environment) {
      const surroundings = {
        WebSocket: globalThis.WebSocket,
        now: () => performance.now(),
        wallClock: () => Date.now(),
        random: Math.random,
        ...environment,
      };
      const clock = new ServerClock();
      this.events = new Events();
      this.requests = new Requests(clock, surroundings.now, surroundings.random);
      this.channels = new Channels(this.requests, this.events, surroundings.random);
      this.connection = new Connection(surroundings, { ...this, clock });
    }

    /** @param {string} method @param {unknown} params @param {Limits} [limits] */
    async request(method, params, limits) {
      this.connection.start();
      return this.requests.issue(method, params, limits);
    }

    /** @param {string | URL} [url] */
    async connect(url) {
      if (url !== undefined) {
        const address = asWebsocketUrl(url);
        if (this.connection.url !== null && this.connection.url !== address && this.connection.state !== "idle") {
          this.connection.close("connecting to another server");
        }
        this.connection.url = address;
      }
      this.connection.start(true);
      await new Promise((resolve, reject) => {
        /** @param {State} state @param {{reason: string}} [detail] */
        const settle = (state, detail) => {
          if (state === "connected" || state === "resumed" || state === "closed") {
            stop();
            state !== "closed" ? resolve(undefined) : reject(notExecuted(CODE.unavailable, `${detail?.reason}`));
          }
        };
        const stop = this.events.on("state", settle);
        settle(this.connection.state);
      });
    }

    /** @param {unknown} token */
    async authenticate(token) {
      if (typeof token !== "string") {
        throw new TypeError("$authenticate takes the token, a string");
      }
      return this.connection.authenticate(token);
    }

    /** Subscribes, and starts the connection for it. @type {Channels["add"]} */
    async subscribe(names, listenerOf) {
      this.connection.start();
      return this.channels.add(names, listenerOf);
    }
  }

  /** @param {string | URL} url */
  function asWebsocketUrl(url) {
    const address = new URL(url);
    address.protocol = address.protocol.replace(/^http/, "ws");
    if (address.protocol !== "ws:" && address.protocol !== "wss:") {
      throw new TypeError(`${url} is no address of a websocket`);
    }
    return address.href;
  }

  /** Where the websocket is when rpc.js came from there: beside the folder of wispyjs. @param {string} scriptUrl */
  function websocketUrl(scriptUrl) {
    const folder = /^(https?:\/\/[^?#]*)\/[^/?#]+\/[^/?#]*([?#].*)?$/.exec(scriptUrl);
    return folder && asWebsocketUrl(`${folder[1]}/ws`);
  }

  // ------------------------------------------------------------------------------- what a page works with

  /** A channel by itself: `rpc.sample.$channel("a")`. */
  class Channel {
    #client;

    /** @param {Client} client @param {string} name */
    constructor(client, name) {
      this.#client = client;
      this.name = name;
    }

    get value() {
      return this.#client.channels.valueOf(this.name);
    }

    /** @param {ChannelHandler} handler @param {{current?: boolean, onGap?: (gap: Gap) => void}} [options] */
    subscribe(handler, { current = true, onGap } = {}) {
      const { events, channels } = this.#client;
      const listener = { call: asFunction(handler), wantsCurrent: current, onGap };
      this.#client
        .subscribe([this.name], () => listener)
        .catch((error) => events.report(error, `subscribing to ${this.name} failed`));
      return () => channels.remove(this.name, handler);
    }
  }

  /** `rpc.sample.rpcWebsocket`: the object's channels. */
  class RpcWebsocket {
    #client;
    #prefix;

    /** @param {Client} client @param {string} object */
    constructor(client, object) {
      this.#client = client;
      this.#prefix = `${object}.`;
    }

    /** @returns {Promise<string[]>} */
    async listChannels() {
      const kinds = await this.#client.request("rpc.channels", { object: this.#prefix.slice(0, -1) });
      return Object.keys(kinds).map((name) => name.slice(this.#prefix.length));
    }

    /** @param {Record<string, ChannelHandler>} handlers @param {boolean} [callNow] */
    async addChannelHandlers(handlers, callNow = false) {
      const calls = new Map(Object.entries(handlers).map(([name, call]) => [this.#prefix + name, asFunction(call)]));
      await this.#client.subscribe([...calls.keys()], (name) => ({
        call: /** @type {ChannelHandler} */ (calls.get(name)),
        wantsCurrent: callNow,
        onGap: undefined,
      }));
    }

    /** @param {Record<string, ChannelHandler> | string[] | string} handlers */
    removeChannelHandlers(handlers) {
      const isNames = typeof handlers === "string" || Array.isArray(handlers);
      const entries = isNames ? [handlers].flat().map((name) => [name, undefined]) : Object.entries(handlers);
      for (const [name, handler] of /** @type {[string, ChannelHandler | undefined][]} */ (entries)) {
        this.#client.channels.remove(this.#prefix + name, handler);
      }
    }
  }

  /** @param {any} handler @returns {ChannelHandler} */
  function asFunction(handler) {
    if (typeof handler !== "function") {
      throw new TypeError("a channel's handler must be a function");
    }
    return handler;
  }

  /** @param {Options} options @returns {Options} */
  function checkedOptions(options) {
    const { timeout, signal, idempotent, ...unknown } = options;
    const wrong = Object.keys(unknown)[0];
    if (wrong !== undefined) {
      throw new TypeError(`there is no option ${wrong}; there are timeout, signal, idempotent`);
    }
    // setTimeout takes 31 bits, and would fire at once beyond them.
    if (timeout !== undefined && !(typeof timeout === "number" && timeout > 0 && timeout < 2 ** 31)) {
      throw new TypeError("timeout is a number of milliseconds, above 0 and below 2 ** 31");
    }
    return options;
  }

  const NOT_A_REQUEST = "is no request: it needs an attribute, as in rpc.sample.a";

  /** Makes the requests of one path; its proxy and its `$` controls both lead here. */
  class Path {
    /** @param {Client} client @param {readonly string[]} names @param {Options} options */
    constructor(client, names, options) {
      this.client = client;
      this.names = names;
      this.options = options;
    }

    /** @param {string | number} name */
    member(name) {
      return new Path(this.client, [...this.names, String(name)], this.options);
    }

    toString() {
      return ["rpc", ...this.names].join(".");
    }

    get() {
      return this.#request("rpc.get");
    }

    /** @param {unknown} value */
    set(value) {
      return this.#request("rpc.set", { value });
    }

    delete() {
      return this.#request("rpc.delete");
    }

    /** @param {unknown[]} args @param {Record<string, unknown>} [kwargs] */
    async call(args, kwargs) {
      const { timeout } = this.options;
      const method = this.names.join(".");
      if (!kwargs && timeout === undefined && this.#isText() && this.names.length > 1) {
        return this.client.request(method, args, this.options);
      }
      const timeout_s = timeout === undefined ? {} : { timeout_s: timeout / 1000 };
      return this.#request("rpc.call", { args, ...(kwargs && { kwargs }), ...timeout_s });
    }

    describe() {
      return this.names.length ? this.#ask("rpc.describe") : this.client.request("rpc.discover", {}, this.options);
    }

    source() {
      return this.#ask("rpc.source");
    }

    /** A request about an attribute. @param {string} method @param {object} [params] */
    async #request(method, params = {}) {
      if (this.names.length < 2) {
        throw new TypeError(`${this} ${NOT_A_REQUEST}`);
      }
      return this.#ask(method, params);
    }

    /** @param {string} method @param {object} [params] */
    #ask(method, params = {}) {
      const path = this.#isText() ? this.names.join(".") : this.names;
      return this.client.request(method, { path, ...params }, this.options);
    }

    /** Whether the names can be joined by dots; keys of a dict may have dots of their own. */
    #isText() {
      return this.names.every((name) => name !== "" && !name.includes("."));
    }
  }

  /**
   * The controls, by name: each gets the path and what the page passed. A first argument that names a member
   * is told from a value by the number of arguments, or by being text where only a list can follow.
   *
   * @type {Record<string, (path: Path, args: any[]) => any>}
   */
  const CONTROLS = {
    $get: (path, [name]) => at(path, name).get(),
    $set: (path, args) => (args.length > 1 ? path.member(args[0]).set(args[1]) : path.set(args[0])),
    $delete: (path, [name]) => at(path, name).delete(),
    $call: (path, args) => {
      const [name, positional = [], named] = typeof args[0] === "string" ? args : [undefined, ...args];
      return at(path, name).call(positional, named);
    },
    $describe: (path, [name]) => at(path, name).describe(),
    $source: (path, [name]) => at(path, name).source(),
    $options: ({ client, names, options }, [more]) =>
      makeProxy(new Path(client, names, { ...options, ...checkedOptions(more) })),
  };

  /** Controls of `rpc.<object>` alone. @type {typeof CONTROLS} */
  const OBJECT_CONTROLS = {
    $channel: ({ client, names }, [name]) => new Channel(client, `${names[0]}.${name}`),
  };

  /** Controls of `rpc` itself. @type {typeof CONTROLS} */
  const ROOT_CONTROLS = {
    $on: ({ client }, [event, listener]) => client.events.on(event, listener),
    $connect: ({ client }, [url]) => client.connect(url),
    $authenticate: ({ client }, [token]) => client.authenticate(token),
    $close: ({ client }) => client.connection.close("the page closed the connection"),
  };

  /** @param {Path} path @param {string | number | undefined} name */
  const at = (path, name) => (name === undefined ? path : path.member(name));

  /** @param {Path} path @param {string} name */
  function control(path, name) {
    const { client, names } = path;
    if (name === "$state" && names.length === 0) {
      return client.connection.state;
    }
    const own = [ROOT_CONTROLS, OBJECT_CONTROLS][names.length] ?? {};
    const run = own[name] ?? CONTROLS[name];
    return run && ((/** @type {any[]} */ ...args) => run(path, args));
  }

  /** What a proxy does when it is touched. */
  class ProxyRules {
    #path;
    /** @type {Promise<any> | null} a member is read once */
    #read = null;

    /** @param {Path} path */
    constructor(path) {
      this.#path = path;
    }

    /** @param {unknown} _target @param {string | symbol} name @param {any} proxy */
    get(_target, name, proxy) {
      const path = this.#path;
      if (typeof name === "symbol") {
        return undefined;
      }
      if (name.startsWith("$")) {
        return control(path, name);
      }
      switch (name) {
        case "toString":
        case "toJSON":
          return () => String(path);
        case "valueOf":
          return () => this.#asOperand(proxy);
        case "constructor":
          return Function;
        case "then":
        case "catch":
        case "finally":
          if (path.names.length > 1) {
            return this.#promiseMethod(name);
          }
          if (name === "then") {
            return undefined; // `await rpc.sample` gives the proxy itself
          }
      }
      if (name === "rpcWebsocket" && path.names.length === 1) {
        return new RpcWebsocket(path.client, /** @type {string} */ (path.names[0]));
      }
      return makeProxy(path.member(name));
    }

    /** @param {unknown} _target @param {string | symbol} name @param {unknown} value */
    set(_target, name, value) {
      this.#unawaited(name, (member) => member.set(value), "setting");
      return true;
    }

    /** @param {unknown} _target @param {string | symbol} name */
    deleteProperty(_target, name) {
      this.#unawaited(name, (member) => member.delete(), "deleting");
      return true;
    }

    /** @param {unknown} _target @param {unknown} _this @param {unknown[]} args */
    apply(_target, _this, args) {
      return this.#path.call(args);
    }

    has = () => false; // only the server could tell
    ownKeys = () => [];
    // What these would change is the hidden target, which nothing reads.
    defineProperty = () => false;
    setPrototypeOf = () => false;
    preventExtensions = () => false;

    /** What reckons with a member, as `rpc.sample.a += 1` does, would set a text, or NaN. @param {any} proxy */
    #asOperand(proxy) {
      if (this.#path.names.length > 1) {
        throw new TypeError(`${this.#path} is not its value: await it`);
      }
      return proxy;
    }

    /** @param {"then" | "catch" | "finally"} name @returns {(...handlers: any[]) => Promise<any>} */
    #promiseMethod(name) {
      return (...handlers) => {
        this.#read ??= this.#path.get();
        return /** @type {any} */ (this.#read)[name](...handlers);
      };
    }

    /** @param {string | symbol} name @param {(member: Path) => Promise<any>} request @param {string} doing */
    #unawaited(name, request, doing) {
      if (typeof name === "symbol" || name.startsWith("$")) {
        throw new TypeError(`${String(name)} is no Python attribute (a dict's key is reached by $set and $delete)`);
      }
      const member = this.#path.member(name);
      request(member).catch((error) => member.client.events.report(error, `${doing} ${member} failed`));
    }
  }

  /** @param {Path} path */
  function makeProxy(path) {
    // An arrow function can be called, and has no "prototype" that a proxy would have to show.
    return new Proxy(/** @type {any} */ (() => {}), new ProxyRules(path));
  }

  /** @type {typeof import("./rpc.mjs").createRpc} */
  function createRpc(url, environment = {}) {
    const client = new Client(environment);
    client.connection.url = url === undefined ? null : asWebsocketUrl(url);
    return proxyOf(client);
  }

  /** @param {Client} client */
  const proxyOf = (client) => makeProxy(new Path(client, [], {}));

  // ------------------------------------------------------------------------------------------ the globals

  const page = new Client({});

  /** @param {string} scriptUrl */
  function locate(scriptUrl) {
    page.connection.url ??= websocketUrl(scriptUrl);
  }

  if (typeof document === "object" && document?.currentScript instanceof HTMLScriptElement) {
    const { dataset, src } = document.currentScript;
    page.connection.url = dataset.url ? asWebsocketUrl(new URL(dataset.url, document.baseURI)) : websocketUrl(src);
  }
  if (typeof addEventListener === "function") {
    addEventListener("online", () => page.connection.hurry());
  }

  globalThis.rpc = proxyOf(page);
  globalThis.wispyjs = {
    version: VERSION,
    rpc: globalThis.rpc,
    RpcError,
    createRpc,
    locate,
    websocketUrl,
    encode,
    parse,
    Backoff,
    ServerClock,
  };
})();
