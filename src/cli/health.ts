import type { Config } from "../config.ts";
import { Fault } from "../domain/fault.ts";
import { urlOf } from "./instance.ts";

/**
 * `berth health`: resolves when the process that listens by the same settings says that it lives; throws a fault that
 * says what it said instead. For the health check of a container.
 */
export async function checkHealth({
  settings,
  timeoutMs,
}: Pick<Config, "settings"> & { readonly timeoutMs: number }): Promise<void> {
  const url = `${urlOf({ settings })}/health`;
  const answer = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) }).catch((cause) => {
    throw new Fault("internal", `Nothing answers at ${url}.`, { cause });
  });
  if (!answer.ok) throw new Fault("internal", `${url} answers ${answer.status}: ${await answer.text()}`);
}
