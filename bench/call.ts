/** The call that is measured: what every caller sends, and the clock in the answer. */

export const INVOCATION = {
  user_id: "bench",
  provider: "bench",
  tool_name: "now",
  credentials: {},
  tool_parameters: {},
};

/** The plugin's message is its clock in ns; a double of that size has a precision of 0.0003 ms. */
export function sinceMade(text: string): number {
  const made = Number(/"(\d{19})"/.exec(text)?.[1]) / 1e6;
  return performance.timeOrigin + performance.now() - made;
}
