/** Reads a `REDIS_URL`: the address of the server or of its Sentinels, and the options of connections. */
import { isIP } from "node:net";
import type { SecureContext, ConnectionOptions as TlsOptions } from "node:tls";
import type { RedisOptions as AllRedisOptions } from "ioredis";
import { Fault } from "../../domain/fault.ts";
import {
  formatAddress,
  parseServerUrl,
  refused,
  type ServerAddress,
  type ServerUrl,
  type ServerUrlRules,
} from "../../domain/server-url.ts";
import { openTlsContext } from "../../util/tls-context.ts";

/** The library's own type does not fit its own constructor under exact optional properties. */
export type RedisOptions = Omit<AllRedisOptions, "replyMapping">;

/** A server, as `readRedisUrl` reads it. Only this folder looks into it. */
export interface RedisServer {
  /** For messages: address and database, never a password. */
  readonly name: string;
  readonly usesTls: boolean;
  readonly db: number;
  /** Options of a connection that finds the server by itself, again after each loss. */
  readonly options: RedisOptions;
  readonly sentinel: SentinelGroup | undefined;
  /** Options of a connection to one given server of the group, or to one of its Sentinels. */
  optionsOf(address: { host: string; port: number }, kind: "server" | "sentinel"): RedisOptions;
}

export interface SentinelGroup {
  readonly master: string;
  readonly addresses: readonly { readonly host: string; readonly port: number }[];
}

const TLS_PARAMS = ["sslrootcert", "sslcert", "sslkey"];
const SENTINEL_PARAMS = ["sentinel_username", "sentinel_password"];
const FORMS: Readonly<Record<string, Pick<ServerUrlRules, "form" | "params">>> = {
  redis: { form: "redis://user:password@host:port/database", params: [] },
  rediss: { form: "rediss://user:password@host:port/database", params: TLS_PARAMS },
  unix: { form: "unix://user:password@/path/of/socket?db=number", params: ["db"] },
  "redis+sentinel": {
    form: "redis+sentinel://user:password@host:port,host:port/master-name/database",
    params: SENTINEL_PARAMS,
  },
  "rediss+sentinel": {
    form: "rediss+sentinel://user:password@host:port,host:port/master-name/database",
    params: [...SENTINEL_PARAMS, ...TLS_PARAMS],
  },
};
const ALL_FORMS = Object.values(FORMS)
  .map(({ form }) => form)
  .join(" or ");

/** Throws `config_invalid` for an unusable URL or file. */
export async function readRedisUrl(
  text: string,
  { caBundleFile }: { readonly caBundleFile: string | undefined },
): Promise<RedisServer> {
  const scheme = /^[^:]*/.exec(text)?.[0].toLowerCase() ?? "";
  const rules: ServerUrlRules = {
    setting: "REDIS_URL",
    schemes: Object.keys(FORMS),
    ...(FORMS[scheme] ?? { form: ALL_FORMS, params: [] }),
  };
  const url = parseServerUrl(text, rules);
  const tls = url.scheme.startsWith("rediss") ? await openTls(url, caBundleFile) : undefined;
  if (url.scheme === "unix") return onSocket(url, rules);
  return url.scheme.endsWith("+sentinel") ? behindSentinels(url, rules, tls) : onHost(url, rules, tls);
}

/** The server that is a child of this process. */
export function embeddedRedis(socketPath: string): RedisServer {
  return standalone(
    { path: socketPath },
    { name: `the embedded Redis at ${socketPath}`, db: 0, usesTls: false },
  );
}

async function openTls({ params }: ServerUrl, caBundleFile: string | undefined): Promise<SecureContext> {
  const root = params.get("sslrootcert");
  const files = {
    caBundleFile,
    rootFile: root === "system" ? undefined : root,
    certFile: params.get("sslcert"),
    keyFile: params.get("sslkey"),
  };
  return await openTlsContext(files).catch((cause: Error) => {
    throw new Fault("config_invalid", `REDIS_URL: ${cause.message}; accepted: a readable PEM file.`, {
      cause,
    });
  });
}

function onSocket(url: ServerUrl, rules: ServerUrlRules): RedisServer {
  if (url.hosts.length > 0 || url.path === "") throw refused(rules, "it names no socket, or a host");
  const db = databaseOf(url.params.get("db") ?? "", rules);
  const path = `/${url.path}`;
  return standalone({ path, db, ...login(url) }, { name: nameOf(path, db), db, usesTls: false });
}

function onHost(url: ServerUrl, rules: ServerUrlRules, context: SecureContext | undefined): RedisServer {
  const [first, ...others] = url.hosts;
  if (first === undefined || others.length > 0) throw refused(rules, "it names no host, or more than one");
  const db = databaseOf(url.path, rules);
  const address = { host: first.host, port: first.port ?? 6379 };
  const options = { ...address, db, ...login(url), ...tlsTo(address.host, context) };
  return standalone(options, {
    name: nameOf(formatAddress(address), db),
    db,
    usesTls: context !== undefined,
  });
}

function standalone(options: RedisOptions, about: Pick<RedisServer, "name" | "db" | "usesTls">): RedisServer {
  return { ...about, options, sentinel: undefined, optionsOf: (address) => ({ ...options, ...address }) };
}

function behindSentinels(
  url: ServerUrl,
  rules: ServerUrlRules,
  context: SecureContext | undefined,
): RedisServer {
  const [master = "", database = "", ...rest] = url.path.split("/");
  if (url.hosts.length === 0 || master === "" || rest.length > 0)
    throw refused(rules, "it names no Sentinel, or no master");
  const db = databaseOf(database, rules);
  const addresses = url.hosts.map(({ host, port }: ServerAddress) => ({ host, port: port ?? 26_379 }));
  const username = url.params.get("sentinel_username");
  const password = url.params.get("sentinel_password");
  const tls = tlsTo(undefined, context);
  return {
    name: `Redis ${master} (database ${db}) by the Sentinels at ${addresses.map(formatAddress).join(", ")}`,
    usesTls: context !== undefined,
    db,
    sentinel: { master, addresses },
    options: {
      sentinels: addresses,
      name: master,
      db,
      ...login(url),
      ...tls,
      ...(username === undefined ? {} : { sentinelUsername: username }),
      ...(password === undefined ? {} : { sentinelPassword: password }),
      ...(tls === undefined ? {} : { sentinelTLS: tls.tls, enableTLSForSentinelMode: true }),
    },
    optionsOf: (address, kind) => ({
      ...address,
      ...tlsTo(address.host, context),
      ...(kind === "server"
        ? { db, ...login(url) }
        : {
            ...(username === undefined ? {} : { username }),
            ...(password === undefined ? {} : { password }),
          }),
    }),
  };
}

function login({ username, password }: ServerUrl): Pick<RedisOptions, "username" | "password"> {
  return { ...(username === undefined ? {} : { username }), ...(password === undefined ? {} : { password }) };
}

function tlsTo(
  host: string | undefined,
  secureContext: SecureContext | undefined,
): { tls: TlsOptions } | undefined {
  if (secureContext === undefined) return undefined;
  return { tls: { secureContext, ...(host === undefined || isIP(host) > 0 ? {} : { servername: host }) } };
}

function databaseOf(text: string, rules: ServerUrlRules): number {
  if (text === "") return 0;
  if (!/^\d{1,6}$/.test(text)) throw refused(rules, "its database is no number");
  return Number(text);
}

function nameOf(where: string, db: number): string {
  return `Redis at ${where} (database ${db})`;
}
