/** `berth login` and `berth context`: servers under names. */
import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";
import { text } from "node:stream/consumers";
import type { Env } from "../../config/environment.ts";
import { Fault, invalidInput, isFault } from "../../domain/fault.ts";
import { createClient } from "../client.ts";
import { readContexts, writeContexts } from "./context-file.ts";
import { parseServerUrl, unknownContext } from "./find-server.ts";

const CHECK_MS_MAX = 30_000;
const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

export interface Login {
  readonly env: Env;
  readonly url: string;
  /** Of the context; by default host and port of the URL. */
  readonly name: string | undefined;
  readonly tenant: string | undefined;
}

/**
 * Reads a key from the terminal, unseen, or from stdin; keeps it with the address once the server accepts it, and makes
 * the context the current one. Throws `unauthorized` where the server does not accept the key.
 */
export async function login({ env, url: given, name, tenant }: Login): Promise<void> {
  const url = parseServerUrl("URL", given);
  const { protocol, hostname, host } = new URL(url);
  if (protocol === "http:" && !LOOPBACK.test(hostname))
    process.stderr.write(`warning: the key is sent to ${host} without encryption\n`);
  const key = (await readKey()).trim();
  if (key === "") throw invalidInput("key", "", "a key of that Berth, from the terminal or stdin");
  const client = createClient({ url, key, timeoutMs: CHECK_MS_MAX, advice: "check the address" });
  await client.ask("GET", "/v1/packages?limit=1").catch((error) => {
    if (isFault(error, "unauthorized")) throw new Fault("unauthorized", `${url} does not accept this key.`);
    // A key that may not read lists is a key.
    if (!isFault(error, "forbidden")) throw error;
  });
  const { contexts } = await readContexts(env);
  const context = name ?? host;
  const path = await writeContexts(env, {
    current: context,
    contexts: { ...contexts, [context]: { url, key, ...(tenant !== undefined && { tenant }) } },
  });
  process.stdout.write(`logged in to ${url} as context ${context}; the key is in ${path}\n`);
}

async function readKey(): Promise<string> {
  if (!process.stdin.isTTY) return (await text(process.stdin)).split("\n", 1)[0] ?? "";
  process.stderr.write("Key: ");
  // What is typed is echoed into nothing.
  const output = new Writable({ write: (_chunk, _encoding, done) => done() });
  const terminal = createInterface({ input: process.stdin, output, terminal: true });
  try {
    return await terminal.question("");
  } finally {
    terminal.close();
    process.stderr.write("\n");
  }
}

/** One line per context; a star marks the current one. Keys are not shown. */
export async function listContexts(env: Env, { json }: { readonly json: boolean }): Promise<void> {
  const { current, contexts } = await readContexts(env);
  const all = Object.entries(contexts).map(([name, { url, tenant }]) => ({
    name,
    url,
    tenant: tenant ?? null,
    current: name === current,
  }));
  if (json) return void process.stdout.write(`${JSON.stringify(all, null, 2)}\n`);
  for (const { name, url, tenant, current: isCurrent } of all)
    process.stdout.write(`${isCurrent ? "*" : " "} ${name}  ${url}${tenant === null ? "" : `  ${tenant}`}\n`);
}

export async function useContext(env: Env, name: string): Promise<void> {
  const { contexts } = await readContexts(env);
  if (!Object.hasOwn(contexts, name)) throw unknownContext(name, Object.keys(contexts));
  await writeContexts(env, { current: name, contexts });
}

/** Forgets the key with the address. The key stays valid on the server. */
export async function removeContext(env: Env, name: string): Promise<void> {
  const { current, contexts } = await readContexts(env);
  if (!Object.hasOwn(contexts, name)) throw unknownContext(name, Object.keys(contexts));
  const { [name]: _, ...others } = contexts;
  await writeContexts(env, {
    ...(current !== undefined && current !== name && { current }),
    contexts: others,
  });
}
