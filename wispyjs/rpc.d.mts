/**
 * What rpc.js offers, for editors and type checkers. It declares the ES module `rpc.mjs` and the two globals
 * of the classic script `rpc.js`: `rpc`, and `wispyjs` (the library itself).
 */

/** How requests are made through a proxy that `$options` returned. */
export interface Options {
  /** Milliseconds until the request ends in an error; waiting for a connection counts. Default: the server's limits. */
  timeout?: number;
  /** Aborting it rejects the promise with `signal.reason` at once, and asks the server to cancel. */
  signal?: AbortSignal;
  /** Says that running it twice does no harm: it is then also repeated by itself where it may have run. */
  idempotent?: boolean;
}

export type Executed = "no" | "maybe" | "yes";

/** A request that failed: what the server answered, or what this side knows when no answer came. */
export class RpcError extends Error {
  constructor(code: number, message: string, data?: { [name: string]: any });
  /** The number of docs/reference/errors.md, for example -32000 for an exception of the object's own code. */
  readonly code: number;
  /** The wire's `data`: always `executed` and `retryable`; for an exception in object code also `type` and `args`. */
  readonly data: { [name: string]: any };
  /** Whether the request ran on the server. */
  readonly executed: Executed;
  /** Whether the same request may succeed when it is made again. */
  readonly retryable: boolean;
}

/**
 * - `connecting`: there is no connection, and one is being made; the session, if there was one, is kept.
 * - `connected`: a new session has begun.
 * - `resumed`: the session went on over a new connection. Nothing was lost: unanswered requests are answered.
 * - `lost`: the session could not go on, in time or at all. What was sent and not answered has rejected as `maybe`;
 *   `connected` follows as soon as there is a server.
 * - `idle`, `closed`: nothing was asked for yet; the page called `$close`.
 */
export type State = "idle" | "connecting" | "connected" | "resumed" | "lost" | "closed";

/** Event messages that will never come: from one position to the other, both included. Of two epochs: some may be missing. */
export interface Gap {
  channel: string;
  from: string;
  to: string;
}

/** Gets each value of a channel, and the channel's name without its object's. */
export type ChannelHandler = (value: any, channel: string) => void;

export interface Channel {
  /** Its full name, `sample.a`. */
  readonly name: string;
  /** The newest value that this page knows; undefined while nothing is subscribed, and for event channels. */
  readonly value: any;
  /** Calls the handler with the current value (unless `current` is false), then with each update. Returns how to stop. */
  subscribe(handler: ChannelHandler, options?: { current?: boolean; onGap?: (gap: Gap) => void }): () => void;
}

export interface RpcWebsocket {
  /** The names of the object's channels, without the object's name. */
  listChannels(): Promise<string[]>;
  /**
   * Subscribes, and calls each handler on every update; with `callNow` also at once with the current value.
   * Resolves when the server has confirmed all of them, and rejects if it refuses one; the others are followed.
   */
  addChannelHandlers(handlers: { [channel: string]: ChannelHandler }, callNow?: boolean): Promise<void>;
  /** Removes these handlers, or every handler of the named channels. */
  removeChannelHandlers(handlers: { [channel: string]: ChannelHandler } | string[] | string): void;
}

/** Controls of every proxy. No Python name can start with `$`. Without a name (or index) they mean the proxy's own path. */
export interface Controls {
  $get(name?: string | number): Promise<any>;
  /** `rpc.sample.$set("a", 2)`, or `rpc.sample.a.$set(2)`. */
  $set(value: any): Promise<null>;
  $set(name: string | number, value: any): Promise<null>;
  $delete(name?: string | number): Promise<null>;
  /** `rpc.sample.move.$call([1, 2], {speed: 3})`, or `rpc.sample.$call("move", [1, 2], {speed: 3})`. */
  $call(args?: any[], kwargs?: { [name: string]: any }): Promise<any>;
  $call(name: string, args?: any[], kwargs?: { [name: string]: any }): Promise<any>;
  /** Signature, types and documentation; of `rpc` itself the OpenRPC document of all that this caller may see. */
  $describe(name?: string): Promise<any>;
  $source(name?: string): Promise<string>;
  /** The same path, with these options for each request made through it. */
  $options(options: Options): any;
}

/** A served object, such as `rpc.sample`. Its attributes are read by `await`, set by `=`, and called. */
export interface RemoteObject extends Controls {
  readonly rpcWebsocket: RpcWebsocket;
  $channel(name: string): Channel;
  [name: string]: any;
}

export interface Rpc {
  /** Hears what happens beside the requests; returns how to stop hearing. */
  $on(event: "state", listener: (state: State, detail: { reason: string; code?: number }) => void): () => void;
  $on(event: "error", listener: (error: unknown, what: string) => void): () => void;
  $on(event: "gap", listener: (gap: Gap) => void): () => void;
  readonly $state: State;
  /** Connects now, to another server if a URL (of its websocket) is given. Resolves when connected. */
  $connect(url?: string | URL): Promise<void>;
  /**
   * Shows the server who the user is, and connects if need be. The token is kept in memory, and shown again on each
   * later connection until `$close`. A newer token of the same user takes its place without a new connection. Rejects
   * where the token is no good; the one before then stays. A server that wants one, and has none or an expired one, is
   * heard of by `$on("error")`: the error's `code` is -32009.
   */
  $authenticate(token: string): Promise<{ user: string; roles: string[] }>;
  /** Ends the connection: what was sent and is unanswered rejects as `maybe`, what was not sent as `no`. */
  $close(): void;
  $describe(): Promise<any>;
  $options(options: Options): Rpc;
  /** The served objects: each is a `RemoteObject`, which TypeScript cannot say beside the controls above. */
  readonly [object: string]: any;
}

/** What the core takes from its surroundings; tests put their own in place. */
export interface Environment {
  WebSocket: new (url: string) => WebSocket;
  /** Milliseconds that never jump. */
  now(): number;
  /** Milliseconds of the calendar, which count the computer's sleep. */
  wallClock(): number;
  /** From 0 to below 1. */
  random(): number;
}

/** A connection of its own, for Node, or for a second server. */
export function createRpc(url?: string | URL, environment?: Partial<Environment>): Rpc;

export const rpc: Rpc;
export default rpc;

/** The global `wispyjs`. The entries below `createRpc` are the parts that the tests of rpc.js use. */
export interface Library {
  readonly version: string;
  readonly rpc: Rpc;
  readonly RpcError: typeof RpcError;
  createRpc: typeof createRpc;
  /** Takes the server's address from where a script of it was loaded, unless one is known. */
  locate(scriptUrl: string): void;
  websocketUrl(scriptUrl: string): string | null;
  encode(value: unknown): unknown;
  parse(text: string): any;
  Backoff: new (random: () => number, baseMs?: number) => { next(): number; reset(): void };
  ServerClock: new () => { set(ms: number, now: number, run?: string): void; read(now: number): number | null };
}

declare global {
  var rpc: Rpc;
  var wispyjs: Library;
}
