/** What went wrong, told so that its reader knows who can mend it. */
import type { IncomingHttpHeaders } from "node:http";
import { Fault, isFault } from "../domain/fault.ts";
import { withoutQuery } from "../domain/source.ts";
import { explainNetworkFailure } from "../util/network-failure.ts";

/** A server that names no time is left alone for so long. */
const RATE_LIMIT_MS = 60_000;
const RATE_LIMIT_MS_MAX = 24 * 3_600_000;

/** What an answer's status means. `setting` names the token that would open it, for the message. */
export function statusFault(
  { status, headers, url }: { status: number; headers: IncomingHttpHeaders; url: URL },
  { tokenSetting, now }: { readonly tokenSetting: string | undefined; readonly now: number },
): Fault {
  const where = withoutQuery(url);
  const details = { field: "source", value: where, status };
  const limitedMs = rateLimitMs({ status, headers }, now);
  if (limitedMs !== undefined) {
    const retryAt = new Date(now + limitedMs).toISOString();
    const token = tokenSetting === undefined ? "" : ` With ${tokenSetting} set it may allow more.`;
    return new Fault(
      "source_rate_limited",
      `${where} has had enough requests from here (${status}); it may be asked again at ${retryAt}.${token}`,
      { details: { ...details, retry_at: retryAt } },
    );
  }
  if (status === 401 || status === 403 || status === 407) {
    const hint = tokenSetting === undefined ? "" : ` ${tokenSetting} needs a token that may read it.`;
    return new Fault("source_forbidden", `${where} does not let Berth in (${status}).${hint}`, { details });
  }
  if (status === 404 || status === 410) {
    const hint = tokenSetting === undefined ? "" : ` Where it is private, set ${tokenSetting}.`;
    return new Fault("source_not_found", `${where} is not there (${status}).${hint}`, { details });
  }
  if (status >= 500 || status === 408 || status === 425)
    return new Fault("source_unreachable", `${where} answers ${status}.`, { details });
  return new Fault("source_unusable", `${where} answers ${status} instead of an archive.`, { details });
}

/** How long the server wants to be left alone; undefined: that is not what it said. */
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

/** Seconds, or a date. */
function afterMs(text: string | undefined, now: number): number | undefined {
  if (text === undefined) return undefined;
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - now;
  return Number.isNaN(ms) ? undefined : ms;
}

/** Seconds since the epoch. */
function resetMs(value: string | string[] | undefined, now: number): number | undefined {
  return typeof value === "string" && /^\d{1,12}$/.test(value) ? Number(value) * 1000 - now : undefined;
}

/** What kept an answer from coming, or from coming to its end. Anything but a failure of the network stays as it is. */
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

/** What the platform's HTTP parser and its way through a proxy say. */
function httpFailure(error: unknown): { readonly reason: string; readonly isFinal: boolean } | undefined {
  if (!(error instanceof Error) || !("code" in error) || typeof error.code !== "string") return undefined;
  const { code } = error;
  if (code.startsWith("HPE_")) return { reason: `it speaks no HTTP (${code})`, isFinal: true };
  if (code === "ERR_PROXY_TUNNEL") return { reason: "the proxy does not connect to it", isFinal: false };
  return undefined;
}

/** The answer is none that a download can be made of. */
export function unusable(message: string): Fault {
  return new Fault("source_unusable", message);
}
