import type { IndexSettings } from "./settings.ts";

/** Where the CA bundle is mounted, read-only, in the Container that downloads. */
export const CA_BUNDLE_PATH = "/run/berth-ca.pem";

/** Environment of the installer's process: the only place that index passwords and proxies reach. */
export function indexEnv(index: IndexSettings): Record<string, string> {
  const env: Record<string, string> = {
    UV_HTTP_RETRIES: String(index.httpRetries),
    UV_HTTP_TIMEOUT: String(Math.max(1, Math.round(index.httpTimeoutMs / 1000))),
  };
  if (index.url !== undefined) env["UV_DEFAULT_INDEX"] = index.url;
  if (index.extraUrls.length > 0) env["UV_INDEX"] = index.extraUrls.join(" ");
  if (index.proxies.http !== undefined) env["HTTP_PROXY"] = index.proxies.http;
  if (index.proxies.https !== undefined) env["HTTPS_PROXY"] = index.proxies.https;
  if (index.proxies.no !== undefined) env["NO_PROXY"] = index.proxies.no;
  if (index.caBundlePath !== undefined) env["SSL_CERT_FILE"] = CA_BUNDLE_PATH;
  return env;
}

/** Index URLs without user and password: what an image's key may be made of, so that a new password rebuilds nothing. */
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
 * Takes users and passwords out of text: in every URL, and wherever else those of the settings stand, also
 * percent-encoded. Read without a URL parser, because the text may say what is wrong with such a URL.
 */
export function createRedactor(index: IndexSettings): (text: string) => string {
  const secrets = new Set<string>();
  for (const url of [index.url, ...index.extraUrls, index.proxies.http, index.proxies.https]) {
    const userInfo = /:\/\/([^/]*)@/.exec(url ?? "")?.[1];
    if (userInfo === undefined) continue;
    const password = userInfo.includes(":") ? userInfo.slice(userInfo.indexOf(":") + 1) : userInfo;
    secrets
      .add(password)
      .add(decode(password))
      .add(encodeURIComponent(decode(password)));
  }
  secrets.delete("");
  const longestFirst = [...secrets].sort((a, b) => b.length - a.length);
  return (text) =>
    longestFirst
      .reduce((left, secret) => left.replaceAll(secret, "****"), text)
      .replace(/(:\/\/)[^\s/@'"`]+@/g, "$1****@");
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
