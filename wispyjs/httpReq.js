/**
 * Requests over HTTP with what a page wants of them: values instead of responses, errors with their reason, and uploads
 * that say how far they are. `httpReq.mjs` is the same as an ES module, `httpReq.d.mts` says what there is.
 *
 *     await httpReq.get("data/list.json");  await httpReq.post("/other/service", { a: 1 });
 *     await httpReq.upload("/uploads/", input.files, { onProgress: ({ fraction }) => (bar.value = fraction) });
 *
 * The rules that this file keeps:
 *
 * - An answer is its content: parsed where the server says JSON, else text.
 * - Every request settles, and every status from 400 is an `HttpError` with the server's own words.
 * - No request follows a page of another origin with this page's cookies: `fetch`'s own default.
 */
(() => {
  "use strict";

  if (typeof globalThis.httpReq?.upload === "function") {
    return; // loaded twice
  }

  /** @typedef {import("./httpReq.mjs").RequestOptions} RequestOptions */
  /** @typedef {import("./httpReq.mjs").UploadOptions} UploadOptions */
  /** @typedef {import("./httpReq.mjs").Files} Files */

  class HttpError extends Error {
    /** @param {number} status @param {string} message @param {unknown} body @param {string} url */
    constructor(status, message, body, url) {
      super(message);
      this.name = "HttpError";
      this.status = status;
      this.body = body;
      this.url = url;
    }
  }

  /** What a text means, by its media type. @param {string} text @param {string | null} contentType @returns {any} */
  function content(text, contentType) {
    if (!/^application\/([\w.-]+\+)?json\s*(;|$)/i.test(contentType ?? "")) {
      return text;
    }
    try {
      return text === "" ? null : JSON.parse(text);
    } catch {
      return text; // it is not what the server says, and so the page's to judge
    }
  }

  /** The server's own words for what went wrong. @param {any} body @param {number} status @param {string} phrase */
  function reason(body, status, phrase) {
    const said = body?.error?.message ?? body?.error ?? body?.message ?? (typeof body === "string" ? body : "");
    const text = typeof said === "string" && !/^\s*</.test(said) ? said.trim() : "";
    return text.slice(0, 500) || `${status} ${phrase}`.trim();
  }

  /** The value of an answer, or an error. @param {number} status @param {string} phrase @param {string} text
   * @param {string | null} contentType @param {string} url */
  function settle(status, phrase, text, contentType, url) {
    const body = content(text, contentType);
    if (status < 200 || status >= 400) {
      throw new HttpError(status, reason(body, status, phrase), body, url);
    }
    return body;
  }

  /** The URL with these parameters in addition. @param {string | URL} url @param {RequestOptions["params"]} params */
  function withParams(url, params) {
    const text = String(url);
    const query = new URLSearchParams(Object.entries(params ?? {}).map(([name, value]) => [name, String(value)]));
    if (query.size === 0) {
      return text;
    }
    const [address = "", hash] = text.split("#", 2);
    return `${address}${address.includes("?") ? "&" : "?"}${query}${hash === undefined ? "" : `#${hash}`}`;
  }

  /** @param {string} method @param {string | URL} url @param {RequestInit} init @param {RequestOptions} options */
  async function request(method, url, init, { params, headers, timeout, signal }) {
    const signals = [signal, timeout === undefined ? undefined : AbortSignal.timeout(timeout)];
    const address = withParams(url, params);
    const response = await fetch(address, {
      ...init,
      method,
      headers: { ...init.headers, ...headers },
      signal: AbortSignal.any(signals.filter((one) => one !== undefined)),
    });
    const { status, statusText } = response;
    return settle(status, statusText, await response.text(), response.headers.get("Content-Type"), address);
  }

  /** Whether `fetch` takes the data as it is, and knows its type. @param {unknown} data */
  function isBody(data) {
    const kinds = [FormData, URLSearchParams, Blob, ArrayBuffer];
    return typeof data === "string" || ArrayBuffer.isView(data) || kinds.some((kind) => data instanceof kind);
  }

  /** @param {string | URL} url @param {RequestOptions} [options] */
  function get(url, options = {}) {
    return request("GET", url, {}, options);
  }

  /** @param {string | URL} url @param {any} [data] @param {RequestOptions} [options] */
  function post(url, data, options = {}) {
    if (data === undefined) {
      return request("POST", url, {}, options);
    }
    if (isBody(data)) {
      return request("POST", url, { body: data }, options);
    }
    const headers = { "Content-Type": "application/json" };
    return request("POST", url, { body: JSON.stringify(data), headers }, options);
  }

  /** A form that holds the files. @param {Files} files @param {string} [name] */
  function formOf(files, name) {
    if (files instanceof FormData) {
      return files;
    }
    const form = new FormData();
    const listed = files instanceof Blob ? [files] : Array.from(files ?? []);
    for (const file of listed) {
      form.append("file", file, name ?? ("name" in file ? String(file.name) : "file"));
    }
    if (listed.length === 0) {
      throw new TypeError("there is no file to upload");
    }
    if (name !== undefined && listed.length > 1) {
      throw new TypeError("a name is for one file");
    }
    return form;
  }

  /** @param {string | URL} url @param {Files} files @param {UploadOptions} [options] @returns {Promise<any>} */
  function upload(url, files, { name, onProgress, headers, timeout, signal } = {}) {
    // XMLHttpRequest, since `fetch` tells nothing of what has been sent.
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const form = formOf(files, name);
      const sending = new XMLHttpRequest();
      const address = String(url);
      const abort = () => sending.abort();
      sending.open("POST", address);
      sending.timeout = timeout ?? 0;
      for (const [header, value] of Object.entries(headers ?? {})) {
        sending.setRequestHeader(header, value);
      }
      if (onProgress) {
        sending.upload.onprogress = ({ loaded, total }) => {
          onProgress({ loaded, total, fraction: total > 0 ? loaded / total : 0 });
        };
      }
      sending.onload = () => {
        const { status, statusText, responseText } = sending;
        try {
          resolve(settle(status, statusText, responseText, sending.getResponseHeader("Content-Type"), address));
        } catch (error) {
          reject(error);
        }
      };
      sending.onerror = () => reject(new TypeError("the upload was cut off: the connection, or the server, is gone"));
      sending.ontimeout = () => reject(new DOMException("the upload took too long", "TimeoutError"));
      sending.onabort = () => reject(signal?.reason ?? new DOMException("the upload was aborted", "AbortError"));
      sending.onloadend = () => signal?.removeEventListener("abort", abort);
      signal?.addEventListener("abort", abort);
      sending.send(form);
    });
  }

  globalThis.httpReq = Object.freeze({ get, post, upload, HttpError });
})();
