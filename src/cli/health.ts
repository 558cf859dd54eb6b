import type { Config } from "../config.ts";
import { Fault, invalidInput } from "../domain/fault.ts";

/** Addresses that a server listens on and nobody can call. */
const ANY: Readonly<Record<string, string>> = { "0.0.0.0": "127.0.0.1", "::": "::1" };

/**
 * `berth health`: resolves when the process that listens by the same settings says that it lives; throws a Fault that
 * says what it said instead. For the health check of a container.
 */
export async function checkHealth({
  settings,
  timeoutMs,
}: Pick<Config, "settings"> & { readonly timeoutMs: number }): Promise<void> {
  const { BERTH_HOST, BERTH_PORT } = settings;
  if (BERTH_PORT === 0) throw invalidInput("BERTH_PORT", "0", "the port that the process listens on");
  const host = ANY[BERTH_HOST] ?? BERTH_HOST;
  const url = `http://${host.includes(":") ? `[${host}]` : host}:${BERTH_PORT}/health`;
  const answer = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) }).catch((cause) => {
    throw new Fault("internal", `Nothing answers at ${url}.`, { cause });
  });
  if (!answer.ok) throw new Fault("internal", `${url} answers ${answer.status}: ${await answer.text()}`);
}
