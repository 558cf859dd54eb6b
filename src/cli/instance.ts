import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { z } from "zod";
import type { Config } from "../config.ts";
import { FAULTS, Fault, type FaultCode, invalidInput } from "../domain/fault.ts";

/** The running Berth with the same settings, called over `/v1` with the operator's key. */
export interface Instance {
  /** The answer's JSON. Throws the error that the instance answers with, and `internal` where none answers. */
  ask(method: "GET" | "POST" | "PUT" | "DELETE", path: string, body?: object): Promise<unknown>;
  /** The same without a time limit, for large bodies: the caller reads the answer's body. */
  send(method: "GET" | "POST", path: string, body?: Readable): Promise<Response>;
}

/** Addresses to listen on that cannot be called. */
const ANY: Readonly<Record<string, string>> = { "0.0.0.0": "127.0.0.1", "::": "::1" };

const Refused = z.object({
  error: z.object({
    code: z.custom<FaultCode>((code) => typeof code === "string" && Object.hasOwn(FAULTS, code)),
    message: z.string(),
    details: z.record(z.string(), z.unknown()).optional(),
  }),
});

export async function openInstance(config: Config, timeoutMs: number): Promise<Instance> {
  const url = urlOf(config);
  const key = config.settings.BERTH_ADMIN_KEY ?? (await readAdminKey(config));
  const authorization = `Bearer ${key}`;
  const send = async (path: string, request: RequestInit) => {
    const answer = await fetch(url + path, request).catch((cause) => {
      const message = `No Berth answers at ${url}; start it first, or give this command the same settings.`;
      throw new Fault("internal", message, { cause });
    });
    if (answer.ok) return answer;
    const { success, data } = Refused.safeParse(await answer.json().catch(() => undefined));
    if (!success) throw new Fault("internal", `${url}${path} answers ${answer.status}.`);
    const { code, message, details } = data.error;
    throw new Fault(code, message, details === undefined ? {} : { details });
  };
  return {
    ask: async (method, path, body) => {
      const answer = await send(path, {
        method,
        headers: { authorization, ...(body !== undefined && { "content-type": "application/json" }) },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(timeoutMs),
      });
      return await answer.json().catch(() => undefined);
    },
    send: (method, path, body) =>
      send(path, {
        method,
        headers: { authorization, ...(body !== undefined && { "content-type": "application/x-tar" }) },
        ...(body !== undefined && { body: Readable.toWeb(body) as ReadableStream, duplex: "half" }),
      }),
  };
}

/** The URL of the process that listens with these settings. */
export function urlOf({ settings: { BERTH_HOST, BERTH_PORT } }: Pick<Config, "settings">): string {
  if (BERTH_PORT === 0) throw invalidInput("BERTH_PORT", "0", "the port that the process listens on");
  const host = ANY[BERTH_HOST] ?? BERTH_HOST;
  return `http://${host.includes(":") ? `[${host}]` : host}:${BERTH_PORT}`;
}

async function readAdminKey({ dataFolder }: Config): Promise<string> {
  const path = join(dataFolder, "admin-key");
  try {
    return (await readFile(path, "utf8")).trim();
  } catch (cause) {
    throw new Fault("unauthorized", `The operator's key is not in ${path}; set BERTH_ADMIN_KEY.`, { cause });
  }
}
