import { Fault } from "../../domain/fault.ts";

/** Names and ids go into request paths unescaped, so only these forms pass. */
const PATTERNS = {
  container: { pattern: /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,199}$/, accepted: "[a-zA-Z0-9][a-zA-Z0-9_.-]{0,199}" },
  network: { pattern: /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}$/, accepted: "[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}" },
  mark: { pattern: /^[a-zA-Z0-9][a-zA-Z0-9_.-]{1,63}$/, accepted: "[a-zA-Z0-9][a-zA-Z0-9_.-]{1,63}" },
  bridge: {
    pattern: /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,14}$/,
    accepted: "an interface name of at most 15 characters",
  },
  image: {
    pattern:
      /^(?=.{1,255}$)(?:sha256:[0-9a-f]{64}|(?:[a-zA-Z0-9.-]+(?::\d+)?\/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*(?::[\w][\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?)$/,
    accepted: "sha256:<64 hex digits> or repository[:tag][@digest] in lower case",
  },
} as const;

/** Throws `invalid_input`, which names the kind, the value and what is accepted. */
export function checkName(kind: keyof typeof PATTERNS, value: string): string {
  const { pattern, accepted } = PATTERNS[kind];
  if (pattern.test(value) && !value.includes("..")) return value;
  throw new Fault(
    "invalid_input",
    `${kind} is ${JSON.stringify(value.slice(0, 300))}; accepted: ${accepted}.`,
    {
      details: { field: kind, value, accepted },
    },
  );
}

/** The Fault for an answer of 400 or more, with the engine's own text. */
export function refusal(status: number, what: string, text: string): Fault {
  const options = { context: { status, what } };
  if (status === 404) return new Fault("not_found", `The Engine did not find it (${what}): ${text}`, options);
  if (status === 409)
    return new Fault("conflict", `The Engine reports a conflict (${what}): ${text}`, options);
  if (status === 503)
    return new Fault("engine_unavailable", `The Engine is not ready (${what}): ${text}`, options);
  return new Fault("engine_refused", `The Engine refused (${what}): ${text}`, options);
}

/** The Fault for a request or a stream without an answer. */
export function cut(what: string, cause: unknown): Fault {
  const code = errorCode(cause);
  const why =
    code === "ENOENT" || code === "ECONNREFUSED"
      ? "nothing listens on its socket"
      : code === "EACCES"
        ? "its socket may not be opened by this user"
        : "the connection was lost";
  return new Fault("engine_unavailable", `The Engine does not answer (${what}): ${why}.`, {
    cause,
    context: { code },
  });
}

export function unexpected(what: string, cause?: unknown): Fault {
  return new Fault("engine_refused", `The Engine's answer does not match its API (${what}).`, {
    cause,
  });
}

function errorCode(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}
