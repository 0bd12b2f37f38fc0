/**
 * Where bound values come from: the channels and attributes of served objects.
 *
 * - A path whose beginning names a channel of its object follows the channel. Any other is an attribute: it is read at once,
 *   and again after each assignment or call that this page makes to its object.
 * - In a new session all is looked up anew: its user may see other channels, another server may have other objects.
 * - All watchers of a channel, or an attribute, share one subscription, which ends with the last of them.
 */

/**
 * @typedef {{known: (value: any) => void, failed: (error: unknown) => void}} Listener
 * @typedef {{names: string[], listener: Listener, cell: Cell | null, inner: string[], tries: number}} Watch
 *   tries: how often it was attached or let go; what comes of an earlier time means nothing to it any more
 */

const RETRY_MS = 2_000; // an object that is starting is there soon

/** What lies at a path within a value; only what is its own. @param {any} value @param {string[]} names */
export function dig(value, names) {
  for (const name of names) {
    value = typeof value === "object" && value !== null && Object.hasOwn(value, name) ? value[name] : null;
  }
  return value ?? null;
}

/** Splits what follows an object's name into the longest channel, if any, and the rest. @param {string[]} names @param {Set<string>} channels */
export function splitChannel(names, channels) {
  for (let length = names.length; length > 0; length -= 1) {
    const channel = names.slice(0, length).join(".");
    if (channels.has(channel)) {
      return { channel, inner: names.slice(length) };
    }
  }
  return { channel: null, inner: /** @type {string[]} */ ([]) };
}

/** One value of a server, and who watches it. */
class Cell {
  /** @type {Set<Watch>} */
  watches = new Set();
  /** @type {{value: any} | {error: unknown} | null} the newest that is known */
  #newest = null;

  /** @param {() => void} stop @param {(cell: Cell) => void} [read] of an attribute */
  constructor(stop, read) {
    this.stop = stop;
    this.read = read;
  }

  /** @param {any} value */
  known(value) {
    this.#newest = { value };
    this.watches.forEach((watch) => this.tell(watch));
  }

  /** @param {unknown} error */
  failed(error) {
    this.#newest = { error };
    this.watches.forEach((watch) => this.tell(watch));
  }

  /** @param {Watch} watch */
  tell({ listener, inner }) {
    if (this.#newest && "error" in this.#newest) {
      listener.failed(this.#newest.error);
    } else if (this.#newest) {
      listener.known(dig(this.#newest.value, inner));
    }
  }
}

/** All that a page watches of one served object. */
class ServedObject {
  /** @type {Set<Watch>} */
  watches = new Set();
  /** @type {Map<string, Cell>} */
  #cells = new Map();
  /** @type {Promise<Set<string>> | null} the names of its channels */
  #channels = null;
  #remote;

  /** @param {import("../rpc.mjs").RemoteObject} remote */
  constructor(remote) {
    this.#remote = remote;
  }

  /** @param {Watch} watch */
  async attach(watch) {
    this.watches.add(watch);
    watch.tries += 1;
    const { tries } = watch;
    this.#channels ??= this.#remote.rpcWebsocket.listChannels().then((names) => new Set(names));
    const asked = this.#channels;
    try {
      const channels = await asked;
      if (tries === watch.tries) { // else it is over, or was attached anew
        this.#join(watch, channels);
      }
    } catch (error) {
      if (asked === this.#channels) {
        this.#channels = null;
      }
      if (tries === watch.tries) {
        watch.listener.failed(error);
        if (/** @type {any} */ (error)?.retryable) {
          setTimeout(() => tries === watch.tries && this.attach(watch), RETRY_MS);
        }
      }
    }
  }

  /** @param {Watch} watch @param {Set<string>} channels */
  #join(watch, channels) {
    const names = watch.names.slice(1);
    const { channel, inner } = splitChannel(names, channels);
    watch.inner = inner;
    const key = channel === null ? `.${names.join(".")}` : channel;
    let cell = this.#cells.get(key);
    if (!cell) {
      cell = channel === null ? this.#attribute(names) : this.#channel(channel);
      this.#cells.set(key, cell);
    }
    watch.cell = cell;
    cell.watches.add(watch);
    cell.tell(watch);
  }

  /** @param {string} name */
  #channel(name) {
    const handlers = { [name]: (/** @type {any} */ value) => cell.known(value) };
    const cell = new Cell(() => this.#remote.rpcWebsocket.removeChannelHandlers(handlers));
    this.#remote.rpcWebsocket.addChannelHandlers(handlers, true).catch((error) => cell.failed(error));
    return cell;
  }

  /** @param {string[]} names */
  #attribute(names) {
    const { owner, name } = memberAt(this.#remote, names);
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    const read = async (/** @type {Cell} */ cell) => {
      try {
        cell.known(await owner.$get(name));
      } catch (error) {
        cell.failed(error);
        if (/** @type {any} */ (error)?.retryable) {
          clearTimeout(timer);
          timer = setTimeout(() => cell.watches.size > 0 && read(cell), RETRY_MS);
        }
      }
    };
    const cell = new Cell(() => clearTimeout(timer), read);
    read(cell);
    return cell;
  }

  /** @param {Watch} watch */
  detach(watch) {
    watch.tries += 1;
    this.watches.delete(watch);
    this.#leave(watch);
  }

  /** @param {Watch} watch */
  #leave(watch) {
    const { cell } = watch;
    watch.cell = null;
    if (cell?.watches.delete(watch) && cell.watches.size === 0) {
      cell.stop();
      this.#cells.forEach((each, key) => each === cell && this.#cells.delete(key));
    }
  }

  /** Reads its attributes again. */
  refresh() {
    this.#cells.forEach((cell) => cell.read?.(cell));
  }

  /** Looks everything up anew. */
  restart() {
    this.#channels = null;
    const watches = [...this.watches];
    watches.forEach((watch) => this.#leave(watch));
    watches.forEach((watch) => this.attach(watch));
  }
}

/**
 * What has the member that a path names, and its name: asked by these, also what is called `then`, or `constructor`, is
 * the object's, and not JavaScript's.
 *
 * @param {any} proxy @param {string[]} names
 * @returns {{owner: any, name: string | undefined}}
 */
const memberAt = (proxy, names) => ({ owner: names.slice(0, -1).reduce((each, name) => each[name], proxy), name: names.at(-1) });

/** The values of all objects, for the bindings of a page. */
export class Sources {
  /** @type {Map<string, ServedObject>} by name: as many as the page names */
  #objects = new Map();
  #rpc;

  /** @param {import("../rpc.mjs").Rpc} rpc */
  constructor(rpc) {
    this.#rpc = rpc;
    rpc.$on("state", (state) => {
      if (state === "connected") {
        this.#objects.forEach((object) => object.restart());
      }
    });
  }

  /** @param {string[]} names @param {Listener} listener @returns {() => void} how to stop */
  watch(names, listener) {
    if (names.length === 1 && names[0] === "$state") {
      queueMicrotask(() => listener.known(this.#rpc.$state));
      return this.#rpc.$on("state", (state) => listener.known(state));
    }
    const object = this.#objectOf(names);
    /** @type {Watch} */
    const watch = { names, listener, cell: null, inner: [], tries: 0 };
    object.attach(watch);
    return () => object.detach(watch);
  }

  /** @param {string[]} names @param {any} value */
  async set(names, value) {
    const { owner, name } = memberAt(this.#rpc, this.#checked(names));
    await owner.$set(name, value);
    this.#objects.get(/** @type {string} */ (names[0]))?.refresh();
  }

  /** @param {string[]} names @param {any[]} args @param {Record<string, any>} kwargs */
  async call(names, args, kwargs) {
    const { owner, name } = memberAt(this.#rpc, this.#checked(names));
    const result = await (Object.keys(kwargs).length ? owner.$call(name, args, kwargs) : owner.$call(name, args));
    this.#objects.get(/** @type {string} */ (names[0]))?.refresh();
    return result;
  }

  /** @param {string[]} names */
  #objectOf(names) {
    const [name = ""] = this.#checked(names);
    let object = this.#objects.get(name);
    if (!object) {
      object = new ServedObject(this.#rpc[name]);
      this.#objects.set(name, object);
    }
    return object;
  }

  /** @param {string[]} names */
  #checked(names) {
    if (names.length < 2 || names[0]?.startsWith("$")) {
      throw new TypeError(`${names.join(".")} names no attribute of an object, as sample.a does`);
    }
    return names;
  }
}
