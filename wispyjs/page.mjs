/** page.js as an ES module. The same file, so also the same `page`. */
import "./page.js";

export const { page } = globalThis;
export default page;
