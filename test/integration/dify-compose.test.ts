/** `examples/dify`: what Compose would make of it beside Dify's own file, read by Berth's own rules. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { readConfig } from "../../src/config.ts";
import { destinationOf } from "../../src/domain/destination.ts";
import { filledCompose, readEnvFile } from "../harness/rigs/compose-file.ts";

const EXAMPLE = join(import.meta.dirname, "../../examples/dify");
const DIFYS = join(import.meta.dirname, "../fixtures/dify-compose.yml");

const Environment = z.record(z.string(), z.string()).default({});
const Bind = z.strictObject({
  type: z.literal("bind"),
  source: z.string().startsWith("/"),
  target: z.string().startsWith("/"),
});

/** Exactly the keys that the file has, as the Compose specification writes them. */
const Override = z.strictObject({
  services: z.strictObject({
    plugin_daemon: z.strictObject({
      image: z.string().regex(/^[a-z0-9./-]+:[\w.-]+$/),
      user: z.literal("0:0"),
      init: z.literal(true),
      command: z.tuple([z.literal("serve")]),
      security_opt: z.tuple([z.literal("no-new-privileges:true")]),
      stop_grace_period: z.string().regex(/^\d+s$/),
      environment: Environment,
      volumes: z.array(Bind),
    }),
    api: z.strictObject({ environment: Environment }),
    worker: z.strictObject({ environment: Environment }),
  }),
});
const Base = z.object({
  services: z.object({
    plugin_daemon: z.object({ environment: Environment, volumes: z.array(z.string()) }),
    api: z.object({ environment: Environment }),
    worker: z.object({ environment: Environment }),
  }),
});

let values: Record<string, string>;
let base: z.infer<typeof Base>["services"];
let override: z.infer<typeof Override>["services"];

beforeAll(async () => {
  values = { ...(await readEnvFile(join(EXAMPLE, ".env.example"))), PLUGIN_DAEMON_KEY: "a-key-of-our-own" };
  base = Base.parse(filledCompose(await readFile(DIFYS, "utf8"), values)).services;
  override = Override.parse(filledCompose(await overrideText(), values)).services;
});

const overrideText = () => readFile(join(EXAMPLE, "docker-compose.override.yml"), "utf8");
/** Compose merges names one by one. */
const environment = () => ({ ...base.plugin_daemon.environment, ...override.plugin_daemon.environment });

describe("the compose example for a Dify deployment", () => {
  it("names only services that Dify's own file has", () => {
    expect(Object.keys(override).filter((name) => !(name in base))).toEqual([]);
  });

  it("gives Berth a valid environment with the same meaning as for the daemon", () => {
    const { settings, warnings } = readConfig(environment(), []);
    expect(settings).toMatchObject({
      BERTH_HOST: "0.0.0.0",
      BERTH_PORT: 5002,
      BERTH_DIFY_KEY: "a-key-of-our-own",
      DATABASE_URL: "postgresql://postgres:difyai123456@db_postgres:5432/dify_plugin?sslmode=disable",
      REDIS_URL: "redis://:difyai123456@redis:6379/0",
      BERTH_DIFY_INNER_URL: "http://api:5001",
      BERTH_SIGNATURE_POLICY: "require",
      BERTH_STORAGE: "/app/storage",
      BERTH_PACKAGE_MB_MAX: 50,
      BERTH_PLUGIN_SECONDS_MAX: 600,
    });
    expect(settings.BERTH_S3_BUCKET).toBeUndefined();
    expect(settings).toMatchObject({ BERTH_DEBUG_HOST: "0.0.0.0", BERTH_DEBUG_PORT: 5003 });
    expect(warnings).toEqual([]);
  });

  it("makes Berth refuse the published key of Dify's file until it is replaced", async () => {
    const env = { ...values, PLUGIN_DAEMON_KEY: "" };
    const { plugin_daemon } = Base.parse(filledCompose(await readFile(DIFYS, "utf8"), env)).services;
    expect(() => readConfig({ ...environment(), ...plugin_daemon.environment }, [])).toThrow(
      /published key of the example files/,
    );
  });

  it("mounts the data folder and the engine's socket under the same paths as on the host", () => {
    const { settings, dataFolder } = readConfig(environment(), []);
    const binds = override.plugin_daemon.volumes;
    expect(binds.map(({ source }) => source)).toEqual([dataFolder, settings.BERTH_ENGINE_SOCKET]);
    expect(binds.every(({ source, target }) => source === target)).toBe(true);
    // A socket of a plugin's is DATA/run/<10 characters>/<8 characters>.sock, and the kernel takes 107 bytes.
    expect(dataFolder.length).toBeLessThanOrEqual(70);
  });

  it("mounts the daemon's volume where Berth's storage is", () => {
    const { settings } = readConfig(environment(), []);
    expect(base.plugin_daemon.volumes.map((volume) => volume.split(":")[1])).toContain(
      settings.BERTH_STORAGE,
    );
  });

  it("lets plugins fetch Dify's files from an address of the host, without the proxy", () => {
    const url = new URL(override.api.environment["INTERNAL_FILES_URL"] ?? "");
    expect(override.worker.environment).toEqual(override.api.environment);
    expect(readConfig(environment(), []).settings.NO_PROXY.split(",")).toContain(url.hostname);
    expect(Object.keys(base)).not.toContain(url.hostname);
    expect(readConfig(environment(), []).settings.BERTH_EGRESS_ALLOW).toEqual(destinationOf(url));
  });

  it("has every required variable in .env.example, and no variable there that is not used", async () => {
    const text = await overrideText();
    const asked = [...text.matchAll(/\$\{(\w+):\?/g)].map(([, name]) => name);
    const optional = [...text.matchAll(/\$\{(\w+):-/g)].map(([, name]) => name);
    const named = Object.keys(values);
    expect(asked.filter((name) => name !== undefined && !named.includes(name))).toEqual([]);
    expect(named.filter((name) => ![...asked, ...optional, "PLUGIN_DAEMON_KEY"].includes(name))).toEqual([]);
  });

  it("gives the container more time to stop than Berth grants its plugins", () => {
    const { settings } = readConfig(environment(), []);
    expect(Number.parseInt(override.plugin_daemon.stop_grace_period, 10)).toBeGreaterThan(
      2 * settings.BERTH_STOP_SECONDS_MAX,
    );
  });
});
