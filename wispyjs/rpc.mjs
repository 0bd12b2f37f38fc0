/** rpc.js as an ES module: `import { rpc } from "/wispyjs/rpc.mjs"`. The same file, so also the same `rpc`. */
import "./rpc.js";

const { wispyjs } = globalThis;
wispyjs.locate(import.meta.url);

export const { rpc, createRpc, RpcError } = wispyjs;
export default rpc;
