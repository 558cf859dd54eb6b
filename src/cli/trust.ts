/** `berth trust`: trusted keys, and packages admitted without a signature. */
import { readFile, stat } from "node:fs/promises";
import { basename } from "node:path";
import { z } from "zod";
import type { Config } from "../config.ts";
import { Fault, invalidInput } from "../domain/fault.ts";
import { SIGNATURE_POLICIES } from "../domain/trust.ts";
import { DEFAULT_READ_OPTIONS, readPackage } from "../packages/read-package.ts";
import { type Instance, openInstance } from "./instance.ts";

export interface TrustCommand {
  readonly config: Config;
  readonly args: readonly string[];
  readonly name: string | undefined;
  readonly note: string | undefined;
}

const Key = z.object({ id: z.string(), name: z.string(), origin: z.string() });
const Keys = z.object({ items: z.array(Key) });
const Admission = z.object({ checksum: z.string(), note: z.string() });
const Admissions = z.object({ items: z.array(Admission), next_cursor: z.string().nullable() });
const Policy = z.object({ policy: z.enum(SIGNATURE_POLICIES) });

const VERBS: Readonly<Record<string, (instance: Instance, command: Verb) => Promise<void>>> = {
  list: async (instance) => list(instance),
  add: async (instance, { values: [file], name }) => {
    if (file === undefined) throw invalidInput("KEY", undefined, "a PEM file of a public key");
    const public_key = await readText(file);
    const key = Key.parse(
      await instance.ask("POST", "/v1/trust/keys", { name: name ?? nameOf(file), public_key }),
    );
    say(`trusted: ${key.id}  ${key.name}`);
  },
  remove: async (instance, { values: [what] }) => remove(instance, what),
  admit: async (instance, { values: [what], note }) => {
    const body = { checksum: await checksumOf(what), ...(note !== undefined && { note }) };
    const { checksum } = Admission.parse(await instance.ask("POST", "/v1/trust/admissions", body));
    say(`admitted: ${checksum}`);
  },
  policy: async (instance, { values: [tenant, policy] }) => {
    if (tenant === undefined) throw invalidInput("TENANT", undefined, "the id of a tenant");
    const path = `/v1/tenants/${encodeURIComponent(tenant)}/trust`;
    const answer =
      policy === undefined
        ? await instance.ask("GET", path)
        : await instance.ask("PUT", path, { policy: policy === "instance" ? null : policy });
    say(`${tenant}: ${Policy.parse(answer).policy}`);
  },
};

interface Verb extends Pick<TrustCommand, "name" | "note"> {
  readonly values: readonly string[];
}

/** Throws `invalid_input` for an unknown verb, and the error that the instance answers with. */
export async function trust({ config, args, ...options }: TrustCommand): Promise<void> {
  const [verb = "", ...values] = args;
  const run = Object.hasOwn(VERBS, verb) ? VERBS[verb] : undefined;
  if (run === undefined) throw invalidInput("trust", verb, Object.keys(VERBS).join(", "));
  await run(await openInstance(config, 30_000), { ...options, values });
}

async function list(instance: Instance): Promise<void> {
  say(`policy of the instance: ${Policy.parse(await instance.ask("GET", "/v1/trust")).policy}`);
  for (const { id, name, origin } of await keysOf(instance))
    say(`key        ${id}  ${name}${origin === "settings" ? " (from the settings)" : ""}`);
  for (const { checksum, note } of await admissionsOf(instance)) say(`admission  ${checksum}  ${note}`);
}

/** Removes a key by its id or an admission by its checksum; their first characters suffice where they are unique. */
async function remove(instance: Instance, what: string | undefined): Promise<void> {
  const accepted = "a key's id or an admission's checksum, or 8 or more of its first characters";
  if (what === undefined || !/^[0-9a-f]{8,64}$/.test(what)) throw invalidInput("ID", what, accepted);
  const found = [
    ...(await keysOf(instance)).map(({ id }) => ({ id, path: `/v1/trust/keys/${id}` })),
    ...(await admissionsOf(instance)).map(({ checksum: id }) => ({ id, path: `/v1/trust/admissions/${id}` })),
  ].filter(({ id }) => id.startsWith(what));
  const [only, ...more] = found;
  if (only === undefined)
    throw new Fault("not_found", `Neither a trusted key nor an admission begins with ${what}.`);
  if (more.length > 0) throw invalidInput("ID", what, "more characters; several begin with these");
  await instance.ask("DELETE", only.path);
  say(`removed: ${only.id}`);
}

async function keysOf(instance: Instance) {
  return Keys.parse(await instance.ask("GET", "/v1/trust/keys")).items;
}

async function admissionsOf(instance: Instance) {
  const all: z.infer<typeof Admission>[] = [];
  for (let cursor: string | null = ""; cursor !== null; ) {
    const after: string = cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const page = Admissions.parse(await instance.ask("GET", `/v1/trust/admissions?limit=200${after}`));
    all.push(...page.items);
    cursor = page.next_cursor;
  }
  return all;
}

/** From an identifier, a checksum, or the archive itself. */
async function checksumOf(what: string | undefined): Promise<string> {
  const accepted = "a package's file, its identifier or its checksum (64 hex digits)";
  if (what === undefined) throw invalidInput("PACKAGE", undefined, accepted);
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
