/**
 * Turns a `DATABASE_URL` into options of the driver. The driver reads `sslmode` differently from PostgreSQL and will change
 * that in its next release, so it is read here: no requested security is silently weakened.
 */
import { userInfo } from "node:os";
import type { ConnectionOptions as TlsOptions } from "node:tls";
import type { ClientConfig } from "pg";
import { Fault } from "../../../domain/fault.ts";
import {
  formatAddress,
  parseServerUrl,
  refused,
  type ServerUrl,
  type ServerUrlRules,
} from "../../../domain/server-url.ts";
import { openTlsContext } from "../../../util/tls-context.ts";

export interface PostgresServer {
  readonly config: ClientConfig;
  /** `PostgreSQL at host:port (database x, user y)`: for messages, without the password. */
  readonly name: string;
  readonly usesTls: boolean;
}

const RULES: ServerUrlRules = {
  setting: "DATABASE_URL",
  schemes: ["postgres", "postgresql"],
  params: ["sslmode", "sslrootcert", "sslcert", "sslkey", "host"],
  form: "postgresql://user:password@host:port/database",
};
const MODES = ["disable", "require", "verify-ca", "verify-full", "no-verify"] as const;
type Mode = (typeof MODES)[number];

/** Throws `config_invalid` for an unusable URL, mode or file. */
export async function readPostgresUrl(
  text: string,
  { caBundleFile }: { readonly caBundleFile: string | undefined },
): Promise<PostgresServer> {
  const url = parseServerUrl(text, RULES);
  const address = addressOf(url);
  const user = url.username ?? userInfo().username;
  const database = url.path === "" ? user : url.path;
  const tls = await tlsOf(url, caBundleFile);
  // Unix sockets have no TLS, as in PostgreSQL's own clients.
  const ssl = address.host.startsWith("/") ? undefined : tls;
  const where = address.host.startsWith("/") ? address.host : formatAddress(address);
  return {
    config: {
      ...address,
      user,
      database,
      ssl: ssl ?? false,
      ...(url.password === undefined ? {} : { password: url.password }),
    },
    name: `PostgreSQL at ${where} (database ${database}, user ${user})`,
    usesTls: ssl !== undefined,
  };
}

function addressOf({ hosts, params }: ServerUrl): { host: string; port: number } {
  const [first, ...others] = hosts;
  if (others.length > 0) throw refused(RULES, "it names more than one host");
  return { host: params.get("host") ?? first?.host ?? "localhost", port: first?.port ?? 5432 };
}

async function tlsOf(
  { params }: ServerUrl,
  caBundleFile: string | undefined,
): Promise<TlsOptions | undefined> {
  const mode = modeOf(params);
  if (mode === "disable") return undefined;
  const root = params.get("sslrootcert");
  const rootFile = root === "system" ? undefined : root;
  // Without a check of the host name any server with a certificate of a public authority would pass.
  if (mode === "verify-ca" && rootFile === undefined && caBundleFile === undefined)
    throw refused(
      RULES,
      "sslmode=verify-ca needs an authority of your own in sslrootcert or BERTH_CA_BUNDLE",
    );
  const files = {
    rootFile: mode === "verify-ca" ? (rootFile ?? caBundleFile) : rootFile,
    caBundleFile,
    certFile: params.get("sslcert"),
    keyFile: params.get("sslkey"),
  };
  const secureContext = await openTlsContext(files).catch((cause: Error) => {
    throw new Fault("config_invalid", `DATABASE_URL: ${cause.message}; accepted: a readable PEM file.`, {
      cause,
    });
  });
  if (mode === "no-verify") return { secureContext, rejectUnauthorized: false };
  return mode === "verify-ca" ? { secureContext, checkServerIdentity: () => undefined } : { secureContext };
}

function modeOf(params: ReadonlyMap<string, string>): Mode {
  const given = params.get("sslmode");
  if (given === undefined) {
    const file = ["sslrootcert", "sslcert", "sslkey"].find((name) => params.has(name));
    if (file !== undefined) throw refused(RULES, `${file} without sslmode would be ignored`);
    return "disable";
  }
  const mode = MODES.find((name) => name === given);
  if (mode !== undefined) return mode;
  const accepted = MODES.join(", ");
  throw new Fault(
    "config_invalid",
    `DATABASE_URL has sslmode=${given}; accepted: ${accepted}${FALLS_BACK.has(given) ? " (with this one the connection may be plain text unnoticed)" : ""}.`,
    { details: { field: "sslmode", value: given, accepted } },
  );
}

const FALLS_BACK = new Set(["prefer", "allow"]);
