/** What httpReq.js offers, for editors and type checkers: the ES module `httpReq.mjs`, and the global `httpReq`. */

export interface RequestOptions {
  /** Added to the URL's query. */
  params?: { [name: string]: string | number | boolean };
  headers?: { [name: string]: string };
  /** Milliseconds until the request rejects with a `TimeoutError`. Default: none. */
  timeout?: number;
  /** Aborting it ends the request, which rejects with `signal.reason`. */
  signal?: AbortSignal;
}

/** How far an upload is, in bytes of its whole body; `fraction` goes from 0 to 1. */
export interface Progress {
  loaded: number;
  total: number;
  fraction: number;
}

export interface UploadOptions {
  /** The name of the file on the server, for a single file, or a Blob, which has none. Default: its own, or `file`. */
  name?: string;
  /** Called several times a second while it sends, and once at the end. */
  onProgress?: (progress: Progress) => void;
  headers?: { [name: string]: string };
  /** Milliseconds until the upload rejects with a `TimeoutError`. Default: none. */
  timeout?: number;
  signal?: AbortSignal;
}

/** What can be uploaded: a file, several, those of a file input (`input.files`), or a form of one's own. */
export type Files = Blob | Iterable<Blob> | ArrayLike<Blob> | FormData;

/** What the server stored. */
export interface Uploaded {
  files: { name: string; size: number; created: boolean }[];
}

/** An answer of status 400 and above. Its message is what the server says of it. */
export class HttpError extends Error {
  constructor(status: number, message: string, body: unknown, url: string);
  readonly status: number;
  /** The answer's content: parsed where it is JSON. */
  readonly body: any;
  readonly url: string;
}

export interface HttpReq {
  /** The content of what is there: parsed where it is JSON, else text. Rejects with an `HttpError`. */
  get(url: string | URL, options?: RequestOptions): Promise<any>;
  /** Posts data: forms, texts and bytes as they are, anything else as JSON. */
  post(url: string | URL, data?: unknown, options?: RequestOptions): Promise<any>;
  /** Uploads files to a folder that takes them (`upload.folders`). */
  upload(url: string | URL, files: Files, options?: UploadOptions): Promise<Uploaded>;
  readonly HttpError: typeof HttpError;
}

export const httpReq: HttpReq;
export const get: HttpReq["get"];
export const post: HttpReq["post"];
export const upload: HttpReq["upload"];
export default httpReq;

declare global {
  var httpReq: HttpReq;
}
