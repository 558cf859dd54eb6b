import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TenantId } from "../../domain/ids.ts";
import { packFolder } from "../../packages/archive/pack.ts";
import { writeArchive } from "../../packages/archive/write-archive.ts";
import { DEFAULT_READ_OPTIONS, readPackage } from "../../packages/read-package.ts";
import type { JsonMap } from "./messages.ts";
import { packageOf } from "./package-of.ts";
import { type Registered, Registration } from "./registration.ts";

const TESTS = join(import.meta.dirname, "../../../test");
const TENANT = TenantId.parse("6f1a1c1e-0000-4000-8000-000000000001");
const OTHER_TENANT = TenantId.parse("6f1a1c1e-0000-4000-8000-000000000002");

let folder: string;
let archives = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "berth-registered-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function read(registered: Registered, tenantId = TENANT) {
  archives += 1;
  const path = join(folder, `${archives}.difypkg`);
  await writeArchive(path, packageOf(registered, tenantId));
  return await readPackage(path, new Date(0), DEFAULT_READ_OPTIONS);
}

async function recorded(): Promise<Registered> {
  const lines = (await readFile(join(TESTS, "fixtures/sdk-registration.txt"), "utf8")).split("\n");
  const registration = new Registration();
  for (const line of lines.filter((text) => text !== "").slice(1)) {
    const registered = registration.take(Buffer.from(line));
    if (registered !== undefined) return registered;
  }
  throw new Error("the recording has no end");
}

/** The SDK fills languages that the author left out. */
function inEnglish(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inEnglish);
  if (typeof value !== "object" || value === null) return value;
  if ("en_US" in value) return { en_US: value.en_US };
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, inEnglish(inner)]));
}

test("a plugin declares the same, whether it is packed or connected", async () => {
  const output = join(folder, "packed.difypkg");
  await packFolder({ folder: join(TESTS, "plugins/debugged"), output });
  const packed = await readPackage(output, new Date(0), DEFAULT_READ_OPTIONS);
  const connected = await read(await recorded());
  expect(inEnglish(connected.declaration)).toEqual(inEnglish(packed.declaration));
  expect(connected.providers).toEqual(packed.providers);
  expect(connected.warnings).toEqual(packed.warnings);
});

test("the identifier follows from declarations, assets and tenant", async () => {
  const registered = await recorded();
  const { identifier } = await read(registered);
  expect((await read(await recorded())).identifier).toBe(identifier);
  expect((await read(registered, OTHER_TENANT)).identifier).not.toBe(identifier);
  const assets = new Map([...registered.assets, ["b.svg", Buffer.from("<svg/>")]]);
  expect((await read({ ...registered, assets })).identifier).not.toBe(identifier);
});

const label = { en_US: "A label" };
const named = (name: string) => ({ identity: { author: "a", name, label }, description: label });
const names = (items: unknown) =>
  (items as { identity: { name: string } }[]).map(({ identity }) => identity.name);

test("models keep their order and their positions, however many they are", async () => {
  const { manifest, assets } = await recorded();
  const models = Array.from({ length: 120 }, (_, n) => ({ model: `m${n}`, model_type: "llm", label }));
  const provider = { provider: "p", label, models, position: { llm: ["m2", "m1"], __proto__: ["m0"] } };
  const { declaration } = await read({ manifest, assets, providers: new Map([["model", [provider]]]) });
  const model = declaration["model"] as { models: { model: string }[]; position: object };
  expect(model.models.map((one) => one.model)).toEqual(models.map((one) => one.model));
  expect(model.position).toEqual({ llm: ["m2", "m1"] });
});

test.each([
  ["agent_strategy", "strategies"],
  ["datasource", "datasources"],
  ["trigger", "events"],
] as const)("a provider of the kind %s keeps its %s in order", async (kind, items) => {
  const { manifest, assets } = await recorded();
  const own = Array.from({ length: 12 }, (_, n) => named(`item${n}`));
  const provider: JsonMap = { ...named("p"), provider_type: "online_document", [items]: own };
  const { declaration } = await read({ manifest, assets, providers: new Map([[kind, [provider]]]) });
  const block = declaration[kind] as Record<string, unknown>;
  expect(names(block[items])).toEqual(own.map(({ identity }) => identity.name));
});
