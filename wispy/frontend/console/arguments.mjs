/**
 * From the filled fields of a form to the arguments of a call, as Python takes them.
 *
 * A field that was left empty is not sent, so that Python's own default holds. What can be given by position is, up to
 * the first one that is left out; what follows goes by name. Where `*args` are given, all before them must stand by
 * position, with their defaults.
 *
 * @typedef {object} Param as `rpc.describe` tells it
 * @property {string} name
 * @property {"positional_only" | "positional_or_keyword" | "var_positional" | "keyword_only" | "var_keyword"} kind
 * @property {boolean} required
 * @property {string | null} type
 * @property {{[name: string]: any}} schema
 * @property {any} [default]
 *
 * @typedef {{args: any[], kwargs: {[name: string]: any}}} Arguments
 */

/**
 * @param {Param[]} params
 * @param {Map<string, any>} given value by parameter; one that is not in it was left empty
 * @returns {Arguments}
 * @throws {Error} what is filled in cannot be called with
 */
export function bind(params, given) {
  const gathered = params.find(({ kind }) => kind === "var_positional");
  const extra = gathered && given.has(gathered.name) ? list(gathered.name, given.get(gathered.name)) : [];
  /** @type {Arguments} */
  const bound = { args: [], kwargs: {} };
  /** @type {string | null} the first that was left out */
  let missing = null;
  for (const param of params) {
    const { name, kind } = param;
    if (kind === "var_positional") {
      bound.args.push(...extra);
    } else if (kind === "var_keyword") {
      Object.assign(bound.kwargs, given.has(name) ? record(name, given.get(name)) : {});
    } else if (kind === "keyword_only") {
      if (given.has(name)) {
        bound.kwargs[name] = given.get(name);
      }
    } else if (given.has(name) && missing === null) {
      bound.args.push(given.get(name));
    } else if (given.has(name) && kind === "positional_or_keyword" && extra.length === 0) {
      bound.kwargs[name] = given.get(name);
    } else if (given.has(name)) {
      throw new Error(`${missing} must be filled in too: what follows it goes by position`);
    } else if (extra.length > 0 && missing === null && "default" in param) {
      bound.args.push(param.default);
    } else {
      missing ??= name;
    }
  }
  if (missing !== null && extra.length > 0) {
    throw new Error(`${missing} must be filled in too: ${gathered?.name} follows it by position`);
  }
  return bound;
}

/** @param {string} name @param {any} value @returns {any[]} */
function list(name, value) {
  if (!Array.isArray(value)) {
    throw new Error(`${name} takes a list of values: [1, 2]`);
  }
  return value;
}

/** @param {string} name @param {any} value @returns {{[name: string]: any}} */
function record(name, value) {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Error(`${name} takes names with values: {"speed": 3}`);
  }
  return value;
}

/** The call as one would write it. @param {string} path @param {Arguments} call @param {(value: any) => string} write */
export function callText(path, { args, kwargs }, write) {
  const named = Object.entries(kwargs).map(([name, value]) => `${name}=${write(value)}`);
  return `${path}(${[...args.map(write), ...named].join(", ")})`;
}
