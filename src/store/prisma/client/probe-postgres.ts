/** The first connection to a PostgreSQL: does it answer, may we use it, is it new enough; and if not, why not. */
import { Client, type ClientConfig } from "pg";
import { Fault, isFault } from "../../../domain/fault.ts";
import { systemClock } from "../../../util/clock.ts";
import { Deadline } from "../../../util/deadline.ts";
import { explainNetworkFailure, type NetworkFailure } from "../../../util/network-failure.ts";
import { waitOrAbort } from "../../../util/wait.ts";
import type { PostgresServer } from "./postgres-url.ts";

const VERSION_MIN = 14;

/**
 * Connects, asks for the version and closes the connection again. Throws what the driver throws, an error with the
 * code ETIMEDOUT when there was no answer in time, and `store_mismatch` for a server that is too old.
 */
export async function probe(server: PostgresServer, config: ClientConfig, timeoutMs: number): Promise<void> {
  const client = new Client(config);
  // Whatever comes after the first failure concerns nobody; without a listener it would end the process.
  client.on("error", () => undefined);
  const late = () => Object.assign(new Error(`no answer within ${timeoutMs} ms`), { code: "ETIMEDOUT" });
  using deadline = new Deadline({ clock: systemClock, ms: timeoutMs, late });
  try {
    const version = await waitOrAbort(readVersion(client), deadline.signal);
    await waitOrAbort(client.end(), deadline.signal);
    if (version >= VERSION_MIN * 10_000) return;
    throw new Fault(
      "store_mismatch",
      `${server.name} has version ${formatVersion(version)}; Berth needs ${VERSION_MIN} or newer.`,
    );
  } finally {
    // Not awaited: a server that does not answer does not say good-bye either.
    client.end().catch(() => undefined);
  }
}

async function readVersion(client: Client): Promise<number> {
  await client.connect();
  const { rows } = await client.query<{ server_version_num: string }>("SHOW server_version_num");
  return Number(rows[0]?.server_version_num);
}

function formatVersion(version: number): string {
  return version >= 100_000
    ? `${Math.floor(version / 10_000)}.${version % 10_000}`
    : `${Math.floor(version / 10_000)}.${Math.floor(version / 100) % 100}`;
}

/** What PostgreSQL's codes mean at a start. Roles, passwords and databases may be made while we wait. */
const REASONS: Readonly<Record<string, string>> = {
  "28P01": "wrong password, or no such role",
  "28000": "the server does not let this role in",
  "3D000": "there is no such database",
  "57P03": "the server is starting or stopping",
  "53300": "the server has no connection left",
};

/** For a server that was not reached, or was lost before the store was open. */
export function explainPostgres(error: unknown, { usesTls }: PostgresServer): NetworkFailure {
  const network = explainNetworkFailure(error);
  if (network?.reason.startsWith("TLS:")) return { ...network, reason: `${network.reason}; ${TLS_HINT}` };
  if (network !== undefined) return network;
  if (isFault(error))
    return { reason: "the connection was lost while the tables were checked", isFinal: false };
  const { code, message } = parts(error);
  const known = code === undefined ? undefined : REASONS[code];
  const plain =
    code === "28000" && !usesTls ? "; this connection has no TLS, sslmode=verify-full asks for it" : "";
  return { reason: `${known === undefined ? message : `${known}: ${message}`}${plain}`, isFinal: false };
}

const TLS_HINT =
  "sslrootcert or BERTH_CA_BUNDLE names authorities to trust, sslmode=verify-ca looks at no host name, sslmode=no-verify at nothing";

function parts(error: unknown): { code: string | undefined; message: string } {
  if (!(error instanceof Error)) return { code: undefined, message: String(error) };
  const code = "code" in error && typeof error.code === "string" ? error.code : undefined;
  return { code, message: error.message };
}
