import { proxyVariables } from "../../../domain/proxy.ts";
import type { IndexSettings } from "./settings.ts";

/** Path of the CA bundle in the container that downloads; no image is made of that one. */
export const CA_BUNDLE_PATH = "/run/berth-ca.pem";

/** Environment of the installer's process: index passwords and proxies reach nothing else. */
export function indexEnv(index: IndexSettings): Record<string, string> {
  return {
    UV_HTTP_RETRIES: String(index.httpRetries),
    UV_HTTP_TIMEOUT: String(Math.max(1, Math.round(index.httpTimeoutMs / 1000))),
    ...(index.url === undefined ? {} : { UV_DEFAULT_INDEX: index.url }),
    ...(index.extraUrls.length === 0 ? {} : { UV_INDEX: index.extraUrls.join(" ") }),
    ...proxyVariables(index.proxies),
    ...(index.caBundle === undefined ? {} : { SSL_CERT_FILE: CA_BUNDLE_PATH }),
  };
}

/** Index URLs without user and password, for the keys of images: a new password rebuilds nothing. */
export function publicIndexUrls(index: IndexSettings): string[] {
  return [index.url ?? "", ...index.extraUrls].map((text) => {
    if (!URL.canParse(text)) return text;
    const url = new URL(text);
    url.username = "";
    url.password = "";
    return url.href;
  });
}

/**
 * Removes users and passwords from text: everything before the `@` of any URL, and those of the settings wherever they
 * occur, in each form in which a program may print them. A user's name is removed only where it is a word of its own,
 * because a short one is part of other words.
 */
export function createRedactor(index: IndexSettings): (text: string) => string {
  const { http, https } = index.proxies;
  const found = [index.url, ...index.extraUrls, http, https].flatMap((url) => userInfoOf(url ?? ""));
  const passwords = longestFirst(
    found.flatMap(({ user, password }) => [...forms(password), ...basic(user, password)]),
  );
  const users = longestFirst(found.flatMap(({ user }) => forms(user)));
  return (text) => {
    const withoutPasswords = passwords.reduce((left, secret) => left.replaceAll(secret, "****"), text);
    const withoutUsers = users.reduce((left, user) => left.replace(asWord(user), "****"), withoutPasswords);
    return withoutUsers.replace(/(:\/\/)[^\s/'"`<>]+@/g, "$1****@");
  };
}

interface UserInfo {
  readonly user: string;
  readonly password: string;
}

/** Reads by hand what a parser would refuse: a message may quote such a URL. A name without a password is a token. */
function userInfoOf(url: string): readonly UserInfo[] {
  const raw = (URL.canParse(url) ? /:\/\/([^/?#]*)@/ : /:\/\/(.*)@/).exec(url)?.[1];
  if (raw === undefined) return [];
  const colon = raw.indexOf(":");
  if (colon === -1) return [{ user: "", password: raw }];
  return [{ user: raw.slice(0, colon), password: raw.slice(colon + 1) }];
}

/** The secret as written, decoded, and in the encodings of programs, with hex digits in both cases. */
function forms(secret: string): string[] {
  const plain = decode(secret);
  const encoded = [
    secret,
    encodeURIComponent(plain),
    encodeURI(plain),
    new URLSearchParams({ x: plain }).toString().slice(2),
    asUserInfo(plain),
  ];
  const cases = encoded.flatMap((text) => [
    text,
    text.replace(/%[0-9a-f]{2}/gi, (hex) => hex.toLowerCase()),
    text.replace(/%[0-9a-f]{2}/gi, (hex) => hex.toUpperCase()),
  ]);
  return [plain, JSON.stringify(plain).slice(1, -1), ...cases];
}

/** In the encoding of URL parsers. */
function asUserInfo(plain: string): string {
  const url = new URL("http://host");
  url.password = plain;
  return url.password;
}

/** In the encoding of the `Authorization` header. */
function basic(user: string, password: string): string[] {
  return [`${decode(user)}:${decode(password)}`, `${user}:${password}`, `${decode(password)}:`].map((pair) =>
    Buffer.from(pair).toString("base64"),
  );
}

function longestFirst(texts: readonly string[]): string[] {
  return [...new Set(texts)].filter((text) => text !== "").sort((a, b) => b.length - a.length);
}

function asWord(text: string): RegExp {
  const literal = text.replace(/[^\w\s]/g, "\\$&");
  return new RegExp(`(?<![\\w-])${literal}(?![\\w-])`, "g");
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
