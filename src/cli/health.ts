import type { Config } from "../config.ts";
import { Fault } from "../domain/fault.ts";
import { urlOf } from "./instance.ts";

/**
 * `berth health`, for the health check of a container: resolves when the process with the same settings answers that it
 * is alive, else throws a fault with its answer.
 */
export async function checkHealth({
  settings,
  timeoutMs,
}: Pick<Config, "settings"> & { readonly timeoutMs: number }): Promise<void> {
  const url = `${urlOf({ settings })}/health`;
  const answer = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) }).catch((cause) => {
    throw new Fault("internal", `No process answers at ${url}.`, { cause });
  });
  if (!answer.ok) throw new Fault("internal", `${url} answers ${answer.status}: ${await answer.text()}`);
}
