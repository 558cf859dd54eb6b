import { Fault } from "./fault.ts";

/** The parts of a server's URL, percent-decoded. */
export interface ServerUrl {
  readonly scheme: string;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly hosts: readonly ServerAddress[];
  /** Without its leading slash. */
  readonly path: string;
  readonly params: ReadonlyMap<string, string>;
}

export interface ServerAddress {
  /** A name or an address; IPv6 without brackets. */
  readonly host: string;
  readonly port: number | undefined;
}

export interface ServerUrlRules {
  /** The setting that holds the URL, for the error message. */
  readonly setting: string;
  readonly schemes: readonly string[];
  readonly params: readonly string[];
  /** How such a URL is written, for the error message. */
  readonly form: string;
}

/**
 * Reads `scheme://user:password@host:port,host:port/path?name=value`. It accepts several hosts and an empty one, which
 * the platform's own parser does not. Throws `config_invalid`, which names the part and never shows the URL: it may
 * contain a password.
 */
export function parseServerUrl(text: string, rules: ServerUrlRules): ServerUrl {
  const parts = /^([a-z][a-z0-9+.-]*):\/\/([^/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/i.exec(text);
  const [, scheme = "", authority = "", path = "", query = ""] = parts ?? [];
  if (parts === null || !rules.schemes.includes(scheme.toLowerCase()))
    throw refused(rules, "it is not such a URL (write / ? # in a password as %2F %3F %23)");
  const at = authority.lastIndexOf("@");
  const [username, ...rest] = at < 0 ? [""] : authority.slice(0, at).split(":");
  const password = rest.length === 0 ? undefined : decode(rest.join(":"), "password", rules);
  return {
    scheme: scheme.toLowerCase(),
    username: username === "" ? undefined : decode(username ?? "", "user", rules),
    password: password === "" ? undefined : password,
    hosts: parseHosts(authority.slice(at + 1), rules),
    path: decode(path, "path", rules),
    params: parseParams(query, rules),
  };
}

function parseHosts(text: string, rules: ServerUrlRules): readonly ServerAddress[] {
  if (text === "") return [];
  return text.split(",").map((item) => {
    const [, bracketed, plain, digits] =
      /^(?:\[([0-9a-f:.]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/i.exec(item) ?? [];
    const host = bracketed ?? plain;
    const port = digits === undefined ? undefined : Number(digits);
    if (host === undefined || port === 0 || (port ?? 1) > 65_535)
      throw refused(rules, "one of its hosts is not host or host:port");
    return { host: decode(host, "host", rules), port };
  });
}

function parseParams(query: string, rules: ServerUrlRules): ReadonlyMap<string, string> {
  const params = new Map<string, string>();
  for (const pair of query.split("&").filter((text) => text !== "")) {
    const cut = pair.includes("=") ? pair.indexOf("=") : pair.length;
    const name = decode(pair.slice(0, cut), "parameter", rules);
    if (!rules.params.includes(name)) throw refused(rules, `it has a parameter ${JSON.stringify(name)}`);
    params.set(name, decode(pair.slice(cut + 1), name, rules));
  }
  return params;
}

function decode(text: string, part: string, rules: ServerUrlRules): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw refused(rules, `its ${part} is not percent-encoded (write % as %25)`);
  }
}

/** `host:port`, with an IPv6 address in brackets. */
export function formatAddress({ host, port }: { readonly host: string; readonly port: number }): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** The error for a setting that may hold a password: the problem and what is accepted, never the value. */
export function refused({ setting, form, params }: ServerUrlRules, problem: string): Fault {
  const known = params.length === 0 ? "" : `, with the parameters ${params.join(", ")}`;
  return new Fault("config_invalid", `${setting} is not usable: ${problem}; accepted: ${form}${known}.`, {
    details: { field: setting, accepted: form },
  });
}
