/**
 * A request to a hook as its plugin gets it: the bytes of a plain HTTP/1.1 request, made as Go's `Request.Write` makes
 * them, which the plugins' SDK was written against. Texts have one byte per character, as Node reads a head. No text
 * may contain a line end, so that a caller cannot add a header or a request of its own.
 */

/** What a caller sent, its body without the chunks of its transfer. */
export interface HookRequest {
  readonly method: string;
  readonly httpVersion: string;
  /** Names and values in turn, as received. */
  readonly rawHeaders: readonly string[];
  readonly isTls: boolean;
  readonly body: Buffer;
}

/** The parts of a hook's address. */
export interface HookAddress {
  readonly hookId: string;
  /** The path after the hook id, unescaped once; begins with a slash. Empty where the address ends with the id. */
  readonly path: string;
  /** With its question mark; empty where there is none. */
  readonly query: string;
}

const PREFIX = "/e/";

/** Undefined where it is not a hook's address; `malformed` where it has an invalid escape. */
export function parseHookAddress(url: string): HookAddress | "malformed" | undefined {
  const mark = url.indexOf("?");
  const target = unescapeBytes(mark < 0 ? url : url.slice(0, mark), { plusIsSpace: false });
  if (target === undefined) return "malformed";
  if (!target.startsWith(PREFIX)) return undefined;
  const slash = target.indexOf("/", PREFIX.length);
  const end = slash < 0 ? target.length : slash;
  if (end === PREFIX.length) return undefined;
  const query = mark < 0 ? "" : url.slice(mark);
  return { hookId: target.slice(PREFIX.length, end), path: target.slice(end), query };
}

/** The redirect for an address that ends with the hook id. */
export function withSlash({ hookId, query }: HookAddress): string {
  return `${PREFIX}${escapePath(hookId)}/${query}`;
}

/** Requests of these methods usually have no body and then no Content-Length. */
const BODILESS = new Set(["GET", "HEAD", "DELETE", "OPTIONS"]);
/** Headers that would tell a plugin who the caller is, or addresses behind the platform. */
const REMOVED = new Set([
  "X-Forwarded-For",
  "X-Real-Ip",
  "X-Forwarded",
  "X-Original-Forwarded-For",
  "X-Original-Url",
  "X-Original-Host",
]);
/** Written separately. The body is complete when it is sent, so its length is known. */
const OF_THE_HEAD = new Set(["Host", "User-Agent", "Content-Length", "Transfer-Encoding", "Trailer"]);
const HOOK_ID = "Dify-Hook-Id";
const HOOK_URL = "Dify-Hook-Url";

export function formatRawRequest(request: HookRequest, address: HookAddress): Buffer {
  const { method, body } = request;
  const headers = readHeaders(request.rawHeaders);
  const host = first(headers, "X-Original-Host") || (first(headers, "Host") ?? "");
  setOwnHeaders(headers, { host, address, isTls: request.isTls });
  const path = escapePath(address.path) || "/";
  const lines = [`${method} ${path}${formatQuery(address.query)} HTTP/1.1`, `Host: ${validHost(host)}`];
  const agent = headers.has("User-Agent") ? (first(headers, "User-Agent") ?? "") : "Go-http-client/1.1";
  if (agent !== "") lines.push(`User-Agent: ${agent}`);
  if (endsConnection(request, headers)) lines.push("Connection: close");
  if (body.length > 0 || !BODILESS.has(method)) lines.push(`Content-Length: ${body.length}`);
  for (const name of [...headers.keys()].sort()) {
    if (REMOVED.has(name) || OF_THE_HEAD.has(name)) continue;
    for (const value of headers.get(name) ?? []) lines.push(`${name}: ${value}`);
  }
  return Buffer.concat([Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1"), body]);
}

type Headers = Map<string, string[]>;

function readHeaders(raw: readonly string[]): Headers {
  const headers: Headers = new Map();
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = canonicalName(raw[at] ?? "");
    const values = headers.get(name) ?? [];
    values.push(oneLine(raw[at + 1] ?? ""));
    headers.set(name, values);
  }
  // required by HTTP/1.1
  if (first(headers, "Pragma") === "no-cache" && !headers.has("Cache-Control"))
    headers.set("Cache-Control", ["no-cache"]);
  return headers;
}

function first(headers: Headers, name: string): string | undefined {
  return headers.get(name)?.[0];
}

function setOwnHeaders(
  headers: Headers,
  { host, address, isTls }: { readonly host: string; readonly address: HookAddress; readonly isTls: boolean },
): void {
  headers.set(HOOK_ID, [oneLine(address.hookId)]);
  if ((first(headers, HOOK_URL) ?? "") !== "") return;
  const scheme = isTls || first(headers, "X-Forwarded-Proto") === "https" ? "https" : "http";
  headers.set(HOOK_URL, [oneLine(`${scheme}://${host}${PREFIX}${address.hookId}${address.path}`)]);
}

/** A caller of HTTP/1.0 ends the connection without saying so. */
function endsConnection({ httpVersion }: HookRequest, headers: Headers): boolean {
  if (httpVersion !== "1.0") return false;
  const tokens = (headers.get("Connection") ?? []).join(",").toLowerCase().split(",");
  return !tokens.some((token) => ["close", "keep-alive"].includes(token.trim()));
}

/** `x-api-KEY` → `X-Api-Key`. */
function canonicalName(name: string): string {
  return name.toLowerCase().replaceAll(/(^|-)[a-z]/g, (start) => start.toUpperCase());
}

/** Every control character becomes white space: implementations differ in what ends a line. */
function oneLine(value: string): string {
  return value.replaceAll(CONTROLS, " ").replaceAll(/^[ \t]+|[ \t]+$/g, "");
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what it looks for
const CONTROLS = /[\x00-\x08\x0a-\x1f\x7f]/g;

/** An invalid Host becomes empty: a part of it would name another host. */
function validHost(host: string): string {
  if (!/^[\w!$%&()*+,\-./:;=@'~[\]]*$/.test(host)) return "";
  // the zone of an address is meaningful on its own machine only
  return host.replace(/%[^\]]*(?=\])/, "");
}

/** Sorted by key, each with a `=`; pairs that cannot be read are dropped. */
function formatQuery(query: string): string {
  if (query === "" || query === "?") return query;
  const pairs: (readonly [key: string, value: string])[] = [];
  for (const pair of query.slice(1).split("&")) {
    if (pair === "" || pair.includes(";")) continue;
    const mark = pair.indexOf("=");
    const key = unescapeBytes(mark < 0 ? pair : pair.slice(0, mark), { plusIsSpace: true });
    const value = unescapeBytes(mark < 0 ? "" : pair.slice(mark + 1), { plusIsSpace: true });
    if (key !== undefined && value !== undefined) pairs.push([key, value]);
  }
  pairs.sort(([a], [b]) => (a < b ? -1 : Number(a > b)));
  if (pairs.length === 0) return "";
  return `?${pairs.map(([key, value]) => `${escapeQuery(key)}=${escapeQuery(value)}`).join("&")}`;
}

/** Undefined where a `%` is not followed by two hex digits. */
function unescapeBytes(text: string, { plusIsSpace }: { plusIsSpace: boolean }): string | undefined {
  const spaced = plusIsSpace ? text.replaceAll("+", " ") : text;
  if (!spaced.includes("%")) return spaced;
  if (/%(?![0-9a-fA-F]{2})/.test(spaced)) return undefined;
  return spaced.replaceAll(/%(..)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

function escapePath(path: string): string {
  return path.replaceAll(/[^\w\-.~$&+,/:;=@]/g, percent);
}

function escapeQuery(text: string): string {
  return text.replaceAll(/[^\w\-.~ ]/g, percent).replaceAll(" ", "+");
}

function percent(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`;
}
