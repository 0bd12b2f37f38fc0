/** What custom-element.js offers to scripts: the ES module `custom-element.mjs`. Pages write `<custom-template>`. */

export class CustomTemplate extends HTMLElement {
  /**
   * Defines an element, as a `<custom-template>` does; of two definitions of one name the first stays. What is wrong with
   * a type is told on the console.
   *
   * @param type the element's name, with a hyphen
   * @param content which then belongs to the template
   * @param defaults of the parameters
   */
  static define(type: string, content: DocumentFragment, defaults?: { [parameter: string]: string }): void;
}
