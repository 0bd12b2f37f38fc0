/** custom-element.js as an ES module. `CustomTemplate.define(type, fragment, defaults)` defines an element from a script. */
import "./custom-element.js";

export const CustomTemplate = customElements.get("custom-template");
