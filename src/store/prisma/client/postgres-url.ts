/**
 * What a `DATABASE_URL` says, as the driver takes it. The driver's own reading of `sslmode` differs from PostgreSQL's
 * and changes with its next release, so it is read here: nothing that was asked for is silently weakened.
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

/** Throws `config_invalid` for a URL, a mode or a file that is of no use. */
export async function readPostgresUrl(
  text: string,
  { caBundleFile }: { readonly caBundleFile: string | undefined },
): Promise<PostgresServer> {
  const url = parseServerUrl(text, RULES);
  const address = addressOf(url);
  const user = url.username ?? userInfo().username;
  const database = url.path === "" ? user : url.path;
  const tls = await tlsOf(url, caBundleFile);
  // A socket of this machine has no TLS, in PostgreSQL's own clients neither.
  const ssl = address.host.startsWith("/") ? undefined : tls;
  const where = address.host.startsWith("/") ? address.host : formatAddress(address);
  return {
    config: {
      ...address,
      ...{ user, database, ssl: ssl ?? false },
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
  // Without a look at the host name, any server with any certificate of a public authority would do.
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
