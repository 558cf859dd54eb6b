/** Settings that several names of the daemon make together: the database, Redis, the bucket, keys. */
import type { SettingName } from "../settings.ts";
import { FLAG_ACCEPTED, flag } from "./rules.ts";

/** The daemon's names with their values; what is empty is not set, and a secret's file has been read. */
export interface DaemonValues {
  get(name: string): string | undefined;
}

export interface Made {
  readonly values: Partial<Record<SettingName, string>>;
  readonly problems: readonly string[];
  readonly notes: readonly string[];
}

const NOTHING: Made = { values: {}, problems: [], notes: [] };
const SSL_MODES = ["disable", "require", "verify-ca", "verify-full"];

export function makeParts(given: DaemonValues): readonly Made[] {
  return [
    database(given),
    redis(given),
    bucket(given),
    adminKey(given),
    trustedKeys(given),
    debugPort(given),
  ];
}

/** The daemon has the port open unless it is told otherwise; it needs its number then. */
function debugPort(given: DaemonValues): Made {
  const isOpen = flag(given.get("PLUGIN_REMOTE_INSTALLING_ENABLED"), true);
  const port = given.get("PLUGIN_REMOTE_INSTALLING_PORT");
  if (isOpen === undefined)
    return { ...NOTHING, problems: [wrongFlag(given, "PLUGIN_REMOTE_INSTALLING_ENABLED")] };
  const problems = portProblems(given, "PLUGIN_REMOTE_INSTALLING_PORT");
  if (!isOpen || port === undefined || problems.length > 0) return { ...NOTHING, problems };
  return { ...NOTHING, values: { BERTH_DEBUG_PORT: port } };
}

/** None of it set: the database in the data folder. */
function database(given: DaemonValues): Made {
  const needed = ["DB_USERNAME", "DB_HOST", "DB_DATABASE"];
  const missing = needed.filter((name) => given.get(name) === undefined);
  if (missing.length === needed.length) return NOTHING;
  const mode = given.get("DB_SSL_MODE") ?? "disable";
  const problems = [
    ...missing.map((name) => `${name} is not set; accepted: all of ${needed.join(", ")}, or none`),
    ...(SSL_MODES.includes(mode) ? [] : [wrong("DB_SSL_MODE", mode, SSL_MODES.join(", "))]),
    ...portProblems(given, "DB_PORT"),
  ];
  if (problems.length > 0) return { ...NOTHING, problems };
  const host = given.get("DB_HOST") ?? "";
  const isSocket = host.startsWith("/");
  const address = isSocket ? "" : bracketed(host);
  const login = loginOf(given.get("DB_USERNAME"), given.get("DB_PASSWORD"));
  const port = given.get("DB_PORT") ?? "5432";
  const url = `postgresql://${login}${address}${isSocket ? "" : `:${port}`}/${encoded(given.get("DB_DATABASE"))}`;
  const params = [`sslmode=${mode}`, ...(isSocket ? [`host=${encoded(host)}`] : [])];
  return { ...NOTHING, values: { DATABASE_URL: `${url}?${params.join("&")}` } };
}

/** None of it set: a Redis of Berth's own. */
function redis(given: DaemonValues): Made {
  const isSentinel = flag(given.get("REDIS_USE_SENTINEL"), false);
  const isTls = flag(given.get("REDIS_USE_SSL"), false);
  const db = given.get("REDIS_DB") ?? "0";
  const problems = [
    ...(isSentinel === undefined ? [wrongFlag(given, "REDIS_USE_SENTINEL")] : []),
    ...(isTls === undefined ? [wrongFlag(given, "REDIS_USE_SSL")] : []),
    ...(/^\d{1,4}$/.test(db) ? [] : [wrong("REDIS_DB", db, "a number of a database")]),
    ...portProblems(given, "REDIS_PORT"),
  ];
  if (problems.length > 0) return { ...NOTHING, problems };
  const where = isSentinel === true ? sentinels(given) : server(given);
  if (where === undefined) return NOTHING;
  if ("problem" in where) return { ...NOTHING, problems: [where.problem] };
  const login = loginOf(given.get("REDIS_USERNAME"), given.get("REDIS_PASSWORD"));
  const authority = given.get("REDIS_SSL_CA_CERTS");
  const params = [
    ...where.params,
    ...(isTls === true && authority !== undefined ? [`sslrootcert=${encoded(authority)}`] : []),
  ];
  const scheme = `redis${isTls === true ? "s" : ""}${isSentinel === true ? "+sentinel" : ""}`;
  const url = `${scheme}://${login}${where.hosts}/${where.master}${db}`;
  const isUnchecked = isTls === true && given.get("REDIS_SSL_CERT_REQS") === "CERT_NONE";
  return {
    values: { REDIS_URL: params.length === 0 ? url : `${url}?${params.join("&")}` },
    problems: [],
    notes: isUnchecked
      ? [
          "REDIS_SSL_CERT_REQS=CERT_NONE: the server's certificate is still verified; set REDIS_SSL_CA_CERTS to its authority",
        ]
      : [],
  };
}

type RedisPlace =
  | { readonly hosts: string; readonly master: string; readonly params: readonly string[] }
  | { readonly problem: string };

function server(given: DaemonValues): RedisPlace | undefined {
  const host = given.get("REDIS_HOST");
  if (host === undefined) return undefined;
  return { hosts: `${bracketed(host)}:${given.get("REDIS_PORT") ?? "6379"}`, master: "", params: [] };
}

function sentinels(given: DaemonValues): RedisPlace {
  const addresses = (given.get("REDIS_SENTINELS") ?? "").split(",").flatMap((one) => one.trim() || []);
  const master = given.get("REDIS_SENTINEL_SERVICE_NAME");
  if (addresses.length === 0 || master === undefined) {
    const name = master === undefined ? "REDIS_SENTINEL_SERVICE_NAME" : "REDIS_SENTINELS";
    return { problem: `${name} is not set; accepted: both of them, where REDIS_USE_SENTINEL is true` };
  }
  const logins = [
    ["sentinel_username", given.get("REDIS_SENTINEL_USERNAME")],
    ["sentinel_password", given.get("REDIS_SENTINEL_PASSWORD")],
  ] as const;
  return {
    hosts: addresses.join(","),
    master: `${encoded(master)}/`,
    params: logins.flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${encoded(value)}`])),
  };
}

/** Only where it is the storage: the names are those of other programs too. */
function bucket(given: DaemonValues): Made {
  if (given.get("PLUGIN_STORAGE_TYPE") !== "aws_s3") return NOTHING;
  const names = ["S3_USE_AWS", "S3_USE_PATH_STYLE", "S3_USE_AWS_MANAGED_IAM"] as const;
  const problems = names.flatMap((name) =>
    flag(given.get(name), true) === undefined ? [wrongFlag(given, name)] : [],
  );
  const [bucketName, region] = [given.get("PLUGIN_STORAGE_OSS_BUCKET"), given.get("AWS_REGION")];
  if (bucketName === undefined)
    problems.push(
      "PLUGIN_STORAGE_OSS_BUCKET is not set; accepted: the name of a bucket, where PLUGIN_STORAGE_TYPE is aws_s3",
    );
  const isAws = flag(given.get("S3_USE_AWS"), true) === true;
  const endpoint =
    given.get("S3_ENDPOINT") ??
    (isAws && region !== undefined ? `https://s3.${region}.amazonaws.com` : undefined);
  if (endpoint === undefined)
    problems.push(
      "S3_ENDPOINT is not set; accepted: the URL of the server, or S3_USE_AWS=true with AWS_REGION",
    );
  if (problems.length > 0) return { ...NOTHING, problems };
  const isKeyed = flag(given.get("S3_USE_AWS_MANAGED_IAM"), false) === false;
  const values: Partial<Record<SettingName, string | undefined>> = {
    BERTH_S3_BUCKET: bucketName,
    BERTH_S3_ENDPOINT: endpoint,
    BERTH_S3_REGION: region,
    BERTH_S3_PATH_STYLE: flag(given.get("S3_USE_PATH_STYLE"), true) === true ? "yes" : "no",
    BERTH_S3_ACCESS_KEY_ID: isKeyed ? given.get("AWS_ACCESS_KEY") : undefined,
    BERTH_S3_SECRET_ACCESS_KEY: isKeyed ? given.get("AWS_SECRET_KEY") : undefined,
  };
  return { ...NOTHING, values: withoutMissing(values) };
}

function adminKey(given: DaemonValues): Made {
  const isOpen = flag(given.get("ADMIN_API_ENABLED"), false);
  if (isOpen === undefined) return { ...NOTHING, problems: [wrongFlag(given, "ADMIN_API_ENABLED")] };
  if (!isOpen) return NOTHING;
  const key = given.get("ADMIN_API_KEY");
  const problem = "ADMIN_API_KEY is not set; accepted: a key, where ADMIN_API_ENABLED is true";
  return key === undefined
    ? { ...NOTHING, problems: [problem] }
    : { ...NOTHING, values: { BERTH_DIFY_ADMIN_KEY: key } };
}

/** The key of Dify's own marketplace is built into the daemon. */
function trustedKeys(given: DaemonValues): Made {
  const name = "THIRD_PARTY_SIGNATURE_VERIFICATION_ENABLED";
  const isOn = flag(given.get(name), false);
  if (isOn === undefined) return { ...NOTHING, problems: [wrongFlag(given, name)] };
  const files = given.get("THIRD_PARTY_SIGNATURE_VERIFICATION_PUBLIC_KEYS");
  return {
    ...NOTHING,
    values: {
      BERTH_TRUST_MARKETPLACE: "yes",
      BERTH_SIGNATURE_NO_CATEGORY: "langgenius",
      ...(isOn && files !== undefined ? { BERTH_TRUSTED_KEYS: files } : {}),
    },
  };
}

function withoutMissing(values: Partial<Record<SettingName, string | undefined>>): Made["values"] {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

function loginOf(username: string | undefined, password: string | undefined): string {
  if (username === undefined && password === undefined) return "";
  return `${encoded(username)}${password === undefined ? "" : `:${encoded(password)}`}@`;
}

function encoded(text: string | undefined): string {
  return encodeURIComponent(text ?? "");
}

function bracketed(host: string): string {
  return host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
}

function portProblems(given: DaemonValues, name: string): readonly string[] {
  const port = given.get(name);
  const isFine =
    port === undefined || (/^\d{1,5}$/.test(port) && Number(port) >= 1 && Number(port) <= 65_535);
  return isFine ? [] : [wrong(name, port, "a whole number from 1 to 65535")];
}

function wrongFlag(given: DaemonValues, name: string): string {
  return wrong(name, given.get(name), FLAG_ACCEPTED);
}

export function wrong(name: string, value: string | undefined, accepted: string): string {
  return `${name} is ${JSON.stringify(value)}; accepted: ${accepted}`;
}
