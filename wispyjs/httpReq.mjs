/** httpReq.js as an ES module: `import { httpReq } from "/wispyjs/httpReq.mjs"`. The same file, so also the same errors. */
import "./httpReq.js";

export const { httpReq } = globalThis;
export const { get, post, upload, HttpError } = httpReq;
export default httpReq;
