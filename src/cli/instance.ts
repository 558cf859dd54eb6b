/** The running Berth with the same settings as a command, called with the operator's key. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Config } from "../config.ts";
import { Fault, invalidInput } from "../domain/fault.ts";
import { errorCode } from "../util/error-code.ts";
import { type Client, createClient } from "./client.ts";

/** Addresses to listen on that cannot be called. */
const ANY: Readonly<Record<string, string>> = { "0.0.0.0": "127.0.0.1", "::": "::1" };

const ADVICE = "start it first, or give this command the same settings";

/** Throws `unauthorized` where the operator's key is neither a setting nor in the data folder. */
export async function openInstance(config: Config, timeoutMs: number): Promise<Client> {
  const url = urlOf(config);
  const key = await findAdminKey(config);
  if (key === undefined)
    throw new Fault("unauthorized", `The operator's key is not in ${keyFile(config)}; set BERTH_ADMIN_KEY.`);
  return createClient({ url, key, timeoutMs, advice: ADVICE });
}

/** The URL of the process that listens with these settings. */
export function urlOf({ settings: { BERTH_HOST, BERTH_PORT } }: Pick<Config, "settings">): string {
  if (BERTH_PORT === 0) throw invalidInput("BERTH_PORT", "0", "the port that the process listens on");
  const host = ANY[BERTH_HOST] ?? BERTH_HOST;
  return `http://${host.includes(":") ? `[${host}]` : host}:${BERTH_PORT}`;
}

/** Undefined where no Berth has made one in the data folder yet. Throws where its file cannot be read. */
export async function findAdminKey(config: Config): Promise<string | undefined> {
  if (config.settings.BERTH_ADMIN_KEY !== undefined) return config.settings.BERTH_ADMIN_KEY;
  const path = keyFile(config);
  try {
    return (await readFile(path, "utf8")).trim();
  } catch (cause) {
    if (errorCode(cause) === "ENOENT") return undefined;
    throw new Fault("unauthorized", `The operator's key in ${path} cannot be read.`, { cause });
  }
}

function keyFile({ dataFolder }: Config): string {
  return join(dataFolder, "admin-key");
}
