/** What a page's author writes in TypeScript, against the declarations alone: `make types` checks it, nothing runs it. */
import byDefault, { RpcError, createRpc, rpc } from "../../wispyjs/rpc.mjs";
import type { Gap, RemoteObject, Rpc, State } from "../../wispyjs/rpc.mjs";
import { CustomTemplate } from "../../wispyjs/customElements/custom-element.mjs";
import { SvgFavicon } from "../../wispyjs/customElements/svg-favicon.mjs";
import { HttpError, httpReq, upload } from "../../wispyjs/httpReq.mjs";
import { page } from "../../wispyjs/page.mjs";
import { tooltip } from "../../wispyjs/tooltip.mjs";

export async function objects(): Promise<string[]> {
  const sample: RemoteObject = rpc.sample;
  sample.a = 2;
  delete sample.a;
  const sum: number = await sample.test_sum(4, 5);
  await sample.$set("a", sum);
  await sample.$call("move", [1], { speed: 3 });
  await rpc.$options({ timeout: 500, signal: AbortSignal.timeout(300), idempotent: true }).sample.a;
  const { roles } = await rpc.$authenticate("token");
  return roles;
}

export async function channels(): Promise<string[]> {
  const { rpcWebsocket } = rpc.sample;
  await rpcWebsocket.addChannelHandlers({ a: (value: number, channel: string) => console.log(value, channel) }, true);
  rpcWebsocket.removeChannelHandlers("a");
  const stop: () => void = rpc.sample.$channel("a").subscribe(console.log, { onGap: ({ from, to }: Gap) => console.log(from, to) });
  stop();
  return (rpc.sample as RemoteObject).rpcWebsocket.listChannels();
}

export function events(other: Rpc = createRpc("ws://server/ws")): () => void {
  rpc.$on("error", (error, what) => error instanceof RpcError && console.log(error.code, error.executed, what.length));
  rpc.$on("gap", ({ channel }) => console.log(channel.length));
  return other.$on("state", (state: State, { reason }) => console.log(state, reason, byDefault === other));
}

export async function tools(): Promise<number> {
  page.value("speed", 5);
  page.formats.kelvin = (celsius: number) => celsius + 273.15;
  await page.ready;
  tooltip.hide();
  CustomTemplate.define("my-element", document.createDocumentFragment(), { name: "a field" });
  document.body.append(new SvgFavicon());
  try {
    await httpReq.get("list.json", { params: { page: 1 } });
  } catch (error) {
    return error instanceof HttpError ? error.status : 0;
  }
  const { files } = await upload("/uploads", [new Blob(["x"])], { name: "x", onProgress: ({ fraction }) => console.log(fraction) });
  return files.length;
}

/** The classic scripts' globals have the same types. */
export const globals: [typeof rpc, typeof page, typeof httpReq, typeof tooltip] = [
  globalThis.rpc, globalThis.page, globalThis.httpReq, globalThis.tooltip,
];
