/**
 * A server of the tests' own: it plays the other end of the websocket in memory, and the clock stands still
 * until a test moves it. The behaviour against real frontends is tested in Python, with real sockets.
 */
import { createRpc } from "../../wispyjs/rpc.mjs";

const HELLO = {
  session: "s1",
  token: "t1",
  run: "r1",
  ms: 1_000_000,
  limits: { in_flight: 64, message_bytes: 10_000, batch: 100 },
  ping_interval_s: 25,
  resumed: false,
};

/** One end of a connection that the page opened. */
class ServerSocket {
  /** @type {any[]} messages from the page, without its hello */
  received = [];
  isClosed = false;

  constructor(server) {
    this.server = server;
  }

  // What the page calls.
  send(text) {
    const message = JSON.parse(text);
    if (message.method === "rpc.hello") {
      this.hello = message;
      if (this.server.saysHello) {
        this.welcome();
      }
    } else {
      this.received.push(message);
    }
  }

  close() {
    this.isClosed = true;
  }

  // What the test calls.
  open() {
    this.onopen?.();
    return this;
  }

  welcome() {
    this.answer(this.hello, { ...HELLO, ...this.server.hello });
  }

  say(message) {
    this.onmessage?.({ data: JSON.stringify({ jsonrpc: "2.0", ...message }) });
  }

  notify(method, params) {
    this.say({ method, params });
  }

  answer({ id }, result) {
    this.say({ id, result });
  }

  refuse({ id }, code, data = {}, message = "no") {
    this.say({ id, error: { code, message, data: { executed: "no", retryable: false, ...data } } });
  }

  lose(code = 1006, reason = "") {
    this.onclose?.({ code, reason });
  }

  get methods() {
    return this.received.map(({ method }) => method);
  }

  get last() {
    return this.received.at(-1);
  }
}

/** What a test needs of a page: its `rpc`, the server's sockets, and hands on the clock. */
export class Lab {
  sockets = [];
  saysHello = true;
  hello = {};
  states = [];
  errors = [];
  gaps = [];
  now = 5_000;
  asleepMs = 0;

  constructor(t, { url = "ws://server/ws" } = {}) {
    t.mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
    this.logged = t.mock.method(console, "error", () => {}).mock;
    this.timers = t.mock.timers;
    const lab = this;
    class WebSocket extends ServerSocket {
      constructor(address) {
        super(lab);
        this.address = address;
        lab.sockets.push(this);
      }
    }
    this.rpc = createRpc(url, {
      WebSocket,
      now: () => this.now,
      wallClock: () => this.now + this.asleepMs,
      random: () => 0.5,
    });
    this.rpc.$on("state", (state) => this.states.push(state));
    this.rpc.$on("error", (error, what) => this.errors.push({ error, what }));
    this.rpc.$on("gap", (gap) => this.gaps.push(gap));
  }

  get socket() {
    return this.sockets.at(-1);
  }

  /** Opens the connection; hello is answered. */
  connect() {
    this.rpc.$connect().catch(() => {});
    return this.socket.open();
  }

  /** Lets time pass, in steps in which each timer sees its own time. */
  pass(ms) {
    for (let left = ms; left > 0; left -= 50) {
      const step = Math.min(50, left);
      this.now += step;
      this.timers.tick(step);
    }
  }
}

/** Lets promises that have settled tell so. */
export const settled = () => new Promise((resolve) => setImmediate(resolve));

/** A promise that is expected to fail, now or later. */
export const failure = (promise) =>
  promise.then(
    (value) => {
      throw new Error(`expected a failure, got ${JSON.stringify(value)}`);
    },
    (error) => error,
  );
