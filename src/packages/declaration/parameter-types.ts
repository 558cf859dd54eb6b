/** Types of parameters that platform or SDK know. A package may have others, from a newer SDK: they are warnings. */
const ALL_KINDS = ["string", "number", "boolean", "select", "file", "files"] as const;
const SELECTORS = ["app-selector", "model-selector"] as const;
const VALUES = ["array", "object"] as const;

export const TOOL_TYPES: readonly string[] = [
  ...ALL_KINDS,
  ...SELECTORS,
  ...VALUES,
  "secret-input",
  "any",
  "dynamic-select",
  "checkbox",
  "date",
  "date-range",
];

export const STRATEGY_TYPES: readonly string[] = [
  ...ALL_KINDS,
  ...SELECTORS,
  ...VALUES,
  "secret-input",
  "any",
  "array[tools]",
];

export const DATASOURCE_TYPES: readonly string[] = [...ALL_KINDS, "secret-input"];

/** Also of the parameters of a subscription: those can be secrets. */
export const EVENT_TYPES: readonly string[] = [
  ...ALL_KINDS,
  ...SELECTORS,
  ...VALUES,
  "secret-input",
  "dynamic-select",
  "checkbox",
];
