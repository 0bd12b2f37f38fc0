/**
 * Which field a type asks for. The types are those that `rpc.describe` tells: a JSON schema, and the annotation as its
 * author wrote it, which says more for dates.
 *
 * @typedef {{[name: string]: any}} Schema
 *
 * @typedef {object} Widget
 * @property {"number" | "integer" | "text" | "checkbox" | "select" | "datetime-local" | "date" | "time" | "json" | "any"} kind
 *   any: JSON or plain text
 * @property {boolean} nullable whether it may be None
 * @property {any[]} [choices] of a select
 * @property {{[name: string]: string}} limits such as `min`; those of texts are attributes of the input
 */

/** Annotations whose schema says only "string". @type {[RegExp, Widget["kind"]][]} */
const DATES = [
  [/(^|\.)datetime\b(?!\.)/, "datetime-local"],
  [/(^|\.)date\b/, "date"],
  [/(^|\.)time\b/, "time"],
];

/** @type {{[format: string]: Widget["kind"]}} */
const FORMATS = { "date-time": "datetime-local", date: "date", time: "time" };

/** Members of a schema, and what they are called here. @type {[string, string][]} */
const LIMITS = [
  ["minimum", "min"],
  ["exclusiveMinimum", "above"],
  ["maximum", "max"],
  ["exclusiveMaximum", "below"],
  ["minLength", "minlength"],
  ["maxLength", "maxlength"],
  ["pattern", "pattern"],
];

/**
 * The field for a type.
 *
 * @param {Schema} schema
 * @param {string | null} [type] the annotation
 * @returns {Widget}
 */
export function widgetOf(schema, type = null) {
  const alternatives = /** @type {Schema[]} */ (schema.anyOf ?? [schema]);
  const others = alternatives.filter(({ type: name }) => name !== "null");
  const nullable = others.length < alternatives.length;
  const only = others.length === 1 ? others[0] : undefined;
  return only ? { ...plainWidget(only, type ?? ""), nullable } : { kind: "any", nullable, limits: {} };
}

/** @param {Schema} schema @param {string} type @returns {Widget} */
function plainWidget(schema, type) {
  const choices = "const" in schema ? [schema.const] : schema.enum;
  if (Array.isArray(choices)) {
    return { kind: "select", nullable: false, choices, limits: {} };
  }
  return { kind: kindOf(schema, type), nullable: false, limits: limitsOf(schema) };
}

/** @param {Schema} schema @param {string} type @returns {Widget["kind"]} */
function kindOf(schema, type) {
  switch (schema.type) {
    case "boolean":
      return "checkbox";
    case "integer":
    case "number":
      return schema.type;
    case "string":
      return FORMATS[schema.format] ?? DATES.find(([pattern]) => pattern.test(type))?.[1] ?? "text";
    case "array":
    case "object":
      return "json";
    default:
      return "any";
  }
}

/** @param {Schema} schema */
function limitsOf(schema) {
  const known = LIMITS.filter(([name]) => name in schema).map(([name, attribute]) => [attribute, String(schema[name])]);
  return Object.fromEntries(known);
}

/** What of a type's limits a person should know. @param {Schema} schema */
export function limitsInWords(schema) {
  const alternatives = /** @type {Schema[]} */ (schema.anyOf ?? [schema]);
  const found = alternatives.find(({ type }) => type === "number" || type === "integer") ?? {};
  const words = [];
  for (const [name, word] of [["minimum", "≥"], ["exclusiveMinimum", ">"], ["maximum", "≤"], ["exclusiveMaximum", "<"]]) {
    if (name && name in found) {
      words.push(`${word} ${found[name]}`);
    }
  }
  return words.join(", ");
}

/** An annotation, or a signature, without what only Python's parser needs. @param {string | null} type */
export function shortType(type) {
  return (type ?? "")
    .replace(/\btyping\.|\b__main__\./g, "")
    .replace(/Annotated\[([\w.]+(?: \| [\w.]+)*), .*?\)\]/g, "$1")
    .replace(/\b(datetime|dt)\.(?=datetime|date|time)/g, "");
}
