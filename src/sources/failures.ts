/** The Faults of a source: each says who can fix it. */
import type { IncomingHttpHeaders } from "node:http";
import { Fault, isFault } from "../domain/fault.ts";
import { withoutQuery } from "../domain/source.ts";
import { explainNetworkFailure } from "../util/network-failure.ts";

/** Wait after a rate limit for which the server names no time. */
const RATE_LIMIT_MS = 60_000;
const RATE_LIMIT_MS_MAX = 24 * 3_600_000;

/** The Fault for an answer's status. `tokenSetting` names the setting for a token, for the message. */
export function statusFault(
  { status, headers, url }: { status: number; headers: IncomingHttpHeaders; url: URL },
  { tokenSetting, now }: { readonly tokenSetting: string | undefined; readonly now: number },
): Fault {
  const where = withoutQuery(url);
  const details = { field: "source", value: where, status };
  const limitedMs = rateLimitMs({ status, headers }, now);
  if (limitedMs !== undefined) {
    const retryAt = new Date(now + limitedMs).toISOString();
    const token = tokenSetting === undefined ? "" : ` With a token in ${tokenSetting} it may allow more.`;
    return new Fault(
      "source_rate_limited",
      `${where} limits requests from here (${status}) until ${retryAt}.${token}`,
      { details: { ...details, retry_at: retryAt } },
    );
  }
  if (status === 401 || status === 403 || status === 407) {
    const hint = tokenSetting === undefined ? "" : ` Set ${tokenSetting} to a token that may read it.`;
    return new Fault("source_forbidden", `${where} refuses access (${status}).${hint}`, { details });
  }
  if (status === 404 || status === 410) {
    const hint = tokenSetting === undefined ? "" : ` If it is private, set ${tokenSetting}.`;
    return new Fault("source_not_found", `${where} does not exist (${status}).${hint}`, { details });
  }
  if (status >= 500 || status === 408 || status === 425)
    return new Fault("source_unreachable", `${where} answers ${status}.`, { details });
  return new Fault("source_unusable", `${where} answers ${status} instead of an archive.`, { details });
}

/** How long the server's rate limit lasts; undefined where the answer is no rate limit. */
function rateLimitMs(
  { status, headers }: { status: number; headers: IncomingHttpHeaders },
  now: number,
): number | undefined {
  const isSpent = headers["x-ratelimit-remaining"] === "0";
  const retryAfter = headers["retry-after"];
  if (status !== 429 && !(status === 403 && (isSpent || retryAfter !== undefined))) return undefined;
  const given = [afterMs(retryAfter, now), isSpent ? resetMs(headers["x-ratelimit-reset"], now) : undefined];
  const waits = given.filter((ms) => ms !== undefined);
  return Math.min(RATE_LIMIT_MS_MAX, Math.max(1000, waits.length === 0 ? RATE_LIMIT_MS : Math.max(...waits)));
}

/** Milliseconds of a `Retry-After`: seconds, or a date. */
function afterMs(text: string | undefined, now: number): number | undefined {
  if (text === undefined) return undefined;
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - now;
  return Number.isNaN(ms) ? undefined : ms;
}

/** Milliseconds until a time in seconds since the epoch. */
function resetMs(value: string | string[] | undefined, now: number): number | undefined {
  return typeof value === "string" && /^\d{1,12}$/.test(value) ? Number(value) * 1000 - now : undefined;
}

/** The Fault for a failure of the network; other errors are returned as they are. */
export function connectionFault(error: unknown, url: string): unknown {
  if (isFault(error)) return error;
  const failure = explainNetworkFailure(error) ?? httpFailure(error);
  if (failure === undefined) return error;
  const code = failure.isFinal ? "source_unusable" : "source_unreachable";
  const where = withoutQuery(url);
  return new Fault(code, `${where} cannot be reached: ${failure.reason}.`, {
    details: { field: "source", value: where },
    cause: error,
  });
}

/** Explains errors of the HTTP parser and of the proxy tunnel. */
function httpFailure(error: unknown): { readonly reason: string; readonly isFinal: boolean } | undefined {
  if (!(error instanceof Error) || !("code" in error) || typeof error.code !== "string") return undefined;
  const { code } = error;
  if (code.startsWith("HPE_")) return { reason: `its answer is not HTTP (${code})`, isFinal: true };
  if (code === "ERR_PROXY_TUNNEL") return { reason: "the proxy does not connect to it", isFinal: false };
  return undefined;
}

/** The answer is not a download. */
export function unusable(message: string): Fault {
  return new Fault("source_unusable", message);
}
