/** `berth trust`: trusted keys, and packages admitted without a signature. */
import { readFile, stat } from "node:fs/promises";
import { basename } from "node:path";
import { z } from "zod";
import { Fault, invalidInput } from "../domain/fault.ts";
import { SIGNATURE_POLICIES } from "../domain/trust.ts";
import { DEFAULT_READ_OPTIONS, readPackage } from "../packages/read-package.ts";
import type { Client } from "./client.ts";

const Key = z.object({ id: z.string(), name: z.string(), origin: z.string() });
const Keys = z.object({ items: z.array(Key) });
const Admission = z.object({ checksum: z.string(), note: z.string() });
const Admissions = z.object({ items: z.array(Admission), next_cursor: z.string().nullable() });
const Policy = z.object({ policy: z.enum(SIGNATURE_POLICIES) });

/** The policy of the instance, its keys and its admissions, one line each. */
export async function listTrust(client: Client): Promise<void> {
  say(`policy of the instance: ${Policy.parse(await client.ask("GET", "/v1/trust")).policy}`);
  for (const { id, name, origin } of await keysOf(client))
    say(`key        ${id}  ${name}${origin === "settings" ? " (from the settings)" : ""}`);
  for (const { checksum, note } of await admissionsOf(client)) say(`admission  ${checksum}  ${note}`);
}

/** `file`: a PEM file of a public key, whose name is the key's name unless one is given. */
export async function addTrustedKey(client: Client, file: string, name = nameOf(file)): Promise<void> {
  const public_key = await readText(file);
  const key = Key.parse(await client.ask("POST", "/v1/trust/keys", { name, public_key }));
  say(`trusted: ${key.id}  ${key.name}`);
}

/** `what`: a package's file, its identifier or its checksum. */
export async function admitPackage(client: Client, what: string, note?: string): Promise<void> {
  const body = { checksum: await checksumOf(what), ...(note !== undefined && { note }) };
  const { checksum } = Admission.parse(await client.ask("POST", "/v1/trust/admissions", body));
  say(`admitted: ${checksum}`);
}

/** Sets the policy of a tenant, or only shows it where none is given; `instance` returns to that of the instance. */
export async function tenantPolicy(client: Client, tenant: string, policy?: string): Promise<void> {
  const path = `/v1/tenants/${encodeURIComponent(tenant)}/trust`;
  const answer =
    policy === undefined
      ? await client.ask("GET", path)
      : await client.ask("PUT", path, { policy: policy === "instance" ? null : policy });
  say(`${tenant}: ${Policy.parse(answer).policy}`);
}

/** Removes a key by its id or an admission by its checksum; their first characters suffice where they are unique. */
export async function removeTrust(client: Client, what: string): Promise<void> {
  const accepted = "a key's id or an admission's checksum, or 8 or more of its first characters";
  if (!/^[0-9a-f]{8,64}$/.test(what)) throw invalidInput("ID", what, accepted);
  const found = [
    ...(await keysOf(client)).map(({ id }) => ({ id, path: `/v1/trust/keys/${id}` })),
    ...(await admissionsOf(client)).map(({ checksum: id }) => ({ id, path: `/v1/trust/admissions/${id}` })),
  ].filter(({ id }) => id.startsWith(what));
  const [only, ...more] = found;
  if (only === undefined)
    throw new Fault("not_found", `Neither a trusted key nor an admission begins with ${what}.`);
  if (more.length > 0) throw invalidInput("ID", what, "more characters; several begin with these");
  await client.ask("DELETE", only.path);
  say(`removed: ${only.id}`);
}

async function keysOf(client: Client) {
  return Keys.parse(await client.ask("GET", "/v1/trust/keys")).items;
}

async function admissionsOf(client: Client) {
  const all: z.infer<typeof Admission>[] = [];
  for (let cursor: string | null = ""; cursor !== null; ) {
    const after: string = cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const page = Admissions.parse(await client.ask("GET", `/v1/trust/admissions?limit=200${after}`));
    all.push(...page.items);
    cursor = page.next_cursor;
  }
  return all;
}

/** From an identifier, a checksum, or the archive itself. */
async function checksumOf(what: string): Promise<string> {
  const accepted = "a package's file, its identifier or its checksum (64 hex digits)";
  const named = /^(?:.+@)?([0-9a-f]{64})$/.exec(what)?.[1];
  if (named !== undefined) return named;
  const found = await stat(what).catch(() => undefined);
  if (found === undefined || !found.isFile()) throw invalidInput("PACKAGE", what, accepted);
  return (await readPackage(what, new Date(0), DEFAULT_READ_OPTIONS)).checksum;
}

async function readText(file: string): Promise<string> {
  return readFile(file, "utf8").catch(() => {
    throw invalidInput("KEY", file, "a readable PEM file");
  });
}

function nameOf(file: string): string {
  return basename(file).replace(/(\.public)?\.pem$/, "");
}

function say(line: string): void {
  process.stdout.write(`${line.trimEnd()}\n`);
}
