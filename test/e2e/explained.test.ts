/**
 * Installs that cannot end well: each ends `failed` inside its deadline with a cause of its own and the last lines of
 * its log; what may pass is tried again first, and says so. Cancelled ones end within seconds and leave nothing.
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type AcceptedInstall,
  accept,
  eventually,
  failInstall,
  follow,
  install,
  type PackedPlugin,
  packPlugin,
  type TaskEventJson,
  upload,
} from "../harness/clients/client.ts";
import type { BerthProcess } from "../harness/rigs/berth.ts";
import { openSite, type Site } from "../harness/rigs/site.ts";
import { SOON_MS } from "../harness/samples/lengths.ts";
import { freePort } from "../harness/servers/free-port.ts";
import {
  bridgeAddress,
  startWheelIndex,
  type TestWheel,
  type WheelIndex,
} from "../harness/servers/wheel-index.ts";

const MIB = 1 << 20;
const START_SECONDS = 8;
const SILENCE_SECONDS = 6;
const DISK_MIB = 32;
const RETRIES = 2;
/** Of a whole install that fails at once: what the machine's load may add to it. */
const LOAD_MS = 60_000;

const never = new Promise<void>(() => undefined);
const release = Promise.withResolvers<void>();
const shared = Promise.withResolvers<void>();
const wheel = (name: string, more: Partial<TestWheel> = {}): TestWheel => ({
  name,
  version: "1.0",
  files: { [`${name}.py`]: "HERE = True\n" },
  ...more,
});

let site: Site;
let index: WheelIndex;
let berth: BerthProcess;
let closed: string;

beforeAll(async () => {
  closed = `http://${bridgeAddress()}:${await freePort()}/`;
  index = await startWheelIndex([
    wheel("plain"),
    wheel("locked"),
    wheel("unreachable", { base: closed }),
    wheel("unresolved", { base: "http://nobody.invalid/" }),
    wheel("mismatch", { hash: "0".repeat(64) }),
    wheel("tomorrow", { metadata: "Requires-Python: >=4.0\n" }),
    wheel("sourced", { isSource: true }),
    wheel("huge", { files: { "huge.bin": "\0".repeat(3 * DISK_MIB * MIB) } }),
    wheel("many", {
      files: Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`many${i}.bin`, "\0".repeat(8 * MIB)])),
    }),
    wheel("hungry", { metadata: `\n${"x".repeat(300 * MIB)}` }),
    wheel("stalled", { held: never }),
    wheel("live", { held: release.promise }),
    wheel("shared", { held: shared.promise, hash: "0".repeat(64) }),
  ]);
  site = await openSite({
    database: "postgres",
    env: {
      no_proxy: [
        process.env["no_proxy"] ?? process.env["NO_PROXY"] ?? "",
        bridgeAddress(),
        ".invalid",
      ].join(),
      BERTH_PACKAGE_INDEX_URL: index.url,
      BERTH_PACKAGE_INDEX_RETRIES: "0",
      BERTH_INSTALL_RETRIES_MAX: String(RETRIES),
      BERTH_INSTALL_RETRY_SECONDS: "0.1",
      BERTH_BUILD_SILENCE_SECONDS_MAX: String(SILENCE_SECONDS),
      BERTH_BUILD_MEMORY_MB: "192",
      BERTH_BUILD_DISK_MB: String(DISK_MIB),
      BERTH_START_SECONDS_MAX: String(START_SECONDS),
      BERTH_START_BUSY_SECONDS_MAX: String(START_SECONDS),
    },
  });
  berth = await site.start();
});
afterAll(async () => {
  await site?.[Symbol.asyncDispose]();
  await index?.[Symbol.asyncDispose]();
});

/** A plugin of its own that asks for the requirement. */
const asking = (requirement: string) =>
  packPlugin("echo", {
    "requirements.txt": `${requirement}==1.0\n`,
    "manifest.yaml": (text) => text.replace("name: echo", `name: echo-${requirement}`),
  });
const changed = (from: string | RegExp, to: string) =>
  packPlugin("echo", { "manifest.yaml": (text) => text.replace(from, to) });

interface Row {
  readonly fault: string;
  readonly code: string;
  readonly plugin: () => Promise<PackedPlugin>;
  /** One of the last lines of the log. */
  readonly line: RegExp;
  readonly isTransient?: true;
  /** The clock that ends it. */
  readonly clockMs?: number;
}

const ROWS: readonly Row[] = [
  {
    fault: "index unreachable",
    code: "index_unreachable",
    plugin: () => asking("unreachable"),
    line: /Connection refused/,
    isTransient: true,
  },
  {
    fault: "name not resolved",
    code: "name_not_resolved",
    plugin: () => asking("unresolved"),
    line: /dns error/,
    isTransient: true,
  },
  {
    fault: "hash mismatch",
    code: "dependency_hash_mismatch",
    plugin: () => asking("mismatch"),
    line: /sha256:0{64}/,
  },
  {
    fault: "no matching Python",
    code: "python_not_available",
    plugin: () => changed('version: "3.12"', 'version: "3.99"'),
    line: /Python 3\.99/,
  },
  {
    fault: "a dependency without a matching Python",
    code: "python_not_available",
    plugin: () => asking("tomorrow"),
    line: /requires Python >=4\.0/,
  },
  {
    fault: "source build needed but not allowed",
    code: "source_build_refused",
    plugin: () => asking("sourced"),
    line: /building from source is disabled/,
  },
  {
    fault: "disk full by one file",
    code: "build_disk_full",
    plugin: () => asking("huge"),
    line: /File size limit exceeded/,
  },
  {
    fault: "disk full by many files",
    code: "build_disk_full",
    plugin: () => asking("many"),
    line: /many|bytes were written/,
  },
  {
    fault: "out of memory in the build",
    code: "build_out_of_memory",
    plugin: () => asking("hungry"),
    line: /Killed|Using Python/,
  },
  {
    fault: "no progress",
    code: "build_no_progress",
    plugin: () => asking("stalled"),
    line: /Using Python/,
    clockMs: SILENCE_SECONDS * 1000,
  },
  {
    fault: "wrong arch",
    code: "arch_not_supported",
    plugin: () => changed(/- amd64\n {4}- arm64/, `- ${process.arch === "arm64" ? "amd64" : "arm64"}`),
    line: /this engine runs/,
  },
  {
    fault: "crash at start",
    code: "start_crashed",
    plugin: () => packPlugin("crash-at-import"),
    line: /ModuleNotFoundError/,
  },
  {
    fault: "never ready",
    code: "start_timeout",
    plugin: () => packPlugin("never-ready"),
    line: /container .* started/,
    clockMs: START_SECONDS * 1000,
  },
];

test.each(ROWS)("$fault ends the install as $code, with the last lines of its log", async (row) => {
  const began = performance.now();
  const { cause, events, tenant } = await failInstall(berth, await row.plugin());
  const took = performance.now() - began;
  expect(cause.code).toBe(row.code);
  expect(took).toBeLessThan((row.clockMs ?? 0) + LOAD_MS);
  const log = cause.details?.["log"] as readonly string[];
  expect(log.join("\n")).toMatch(row.line);
  expect(log.length).toBeLessThanOrEqual(30);
  const logged = events.flatMap((event) => (event.type === "log" ? [textOf(event)] : []));
  expect(log.every((line) => logged.some((full) => full.startsWith(line)))).toBe(true);

  const states = events.flatMap(({ step, type }) => (type === "step" ? [step] : []));
  expect(states).not.toContain("ready");
  const retries = events.filter(({ type }) => type === "retry");
  expect(retries.map((event) => event.cause?.code)).toEqual(
    Array(row.isTransient ? RETRIES : 0).fill(row.code),
  );
  const delays = retries.map((event) => Number(Reflect.get(event, "delayMs")));
  expect(delays).toEqual(row.isTransient ? [100, 200] : []);
  await expectNothingLeft(tenant);
});

test("the log of a build streams while it runs", async () => {
  const plugin = await asking("live");
  await upload(berth, plugin);
  const accepted = await accept(berth, plugin);
  const seen: TaskEventJson[] = [];
  for await (const { data } of berth.events(eventsOf(accepted))) {
    const event = data as TaskEventJson;
    seen.push(event);
    // The file of its wheel comes only now: what was told before came out of a build that ran.
    if (event.type === "log" && /Using Python/.test(textOf(event))) release.resolve();
  }
  expect(seen.at(-1)).toMatchObject({ type: "end", state: "ready" });
  expect(index.requests.some((path) => path.endsWith("live-1.0-py3-none-any.whl"))).toBe(true);
});

test("an install that waits for the build of another install fails with the same cause", async () => {
  const plugin = await asking("shared");
  await upload(berth, plugin);
  const both = await Promise.all([accept(berth, plugin), accept(berth, plugin)]);
  const said: (string | undefined)[] = [];
  const watch = async (accepted: AcceptedInstall) => {
    let last: TaskEventJson | undefined;
    for await (const { data } of berth.events(eventsOf(accepted))) {
      last = data as TaskEventJson;
      said.push(last.message);
      if (last.message === "waiting for another build of the same image") shared.resolve();
    }
    return last?.cause?.code;
  };
  const codes = await Promise.all(both.map(watch));
  expect(codes).toEqual(Array(2).fill("dependency_hash_mismatch"));
  expect(said.filter((message) => message === "installing the dependencies")).toHaveLength(1);
});

describe("a lock file that names a public host", () => {
  test("is installed from the mirror, with the hashes of the lock file", async () => {
    const hash = index.hashes.get("locked-1.0-py3-none-any.whl") ?? "";
    const asked = index.requests.length;
    await install(berth, await locking(hash));
    expect(index.requests.slice(asked).filter((path) => path.endsWith(".whl"))).toContain(
      "/files/locked-1.0-py3-none-any.whl",
    );
  });

  test("fails if the mirror has another file of that name", async () => {
    const { cause } = await failInstall(berth, await locking("1".repeat(64)));
    expect(cause).toMatchObject({ code: "dependency_hash_mismatch", details: { value: "locked==1.0" } });
    expect(JSON.stringify(cause.details?.["log"])).toContain("1".repeat(64));
  });
});

/** With a lock as it is written against a public index. */
function locking(hash: string): Promise<PackedPlugin> {
  const project =
    '[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["locked==1.0"]\n';
  const lock = `version = 1
revision = 3
requires-python = ">=3.11"

[[package]]
name = "locked"
version = "1.0"
source = { registry = "https://index.example.org/simple" }
wheels = [
    { url = "https://files.example.org/locked-1.0-py3-none-any.whl", hash = "sha256:${hash}" },
]

[[package]]
name = "x"
version = "1"
source = { virtual = "." }
dependencies = [
    { name = "locked" },
]

[package.metadata]
requires-dist = [{ name = "locked", specifier = "==1.0" }]
`;
  return packPlugin("echo", {
    "pyproject.toml": project,
    "uv.lock": lock,
    "manifest.yaml": (text) => text.replace("name: echo", "name: echo-locked"),
  });
}

describe("an install ends at once and leaves nothing behind when it is cancelled", () => {
  const MOMENTS: readonly {
    readonly moment: string;
    readonly plugin: () => Promise<PackedPlugin>;
    readonly isThere: (tenant: string) => Promise<boolean>;
  }[] = [
    {
      moment: "while its dependencies are fetched",
      plugin: () => asking("stalled"),
      isThere: async () => {
        const builds = await site.containers("build");
        return builds.some(({ name, phase }) => name.endsWith("-wheels") && phase === "running");
      },
    },
    {
      moment: "while its files are compiled",
      plugin: () =>
        packPlugin("echo", {
          "manifest.yaml": (text) => text.replace("name: echo", "name: echo-slow"),
          ...Object.fromEntries(
            Array.from({ length: 600 }, (_, i) => [`slow${i}.py`, `a${i} = 1\n`.repeat(2_000)]),
          ),
        }),
      isThere: async () => {
        const builds = await site.containers("build");
        return builds.some(({ name, phase }) => !name.endsWith("-wheels") && phase === "running");
      },
    },
    {
      moment: "while it starts",
      plugin: () => packPlugin("never-ready"),
      isThere: async (tenant) => {
        const all = await site.containers();
        return all.some(({ labels, phase }) => labels["berth.tenant"] === tenant && phase === "running");
      },
    },
  ];

  test.each(MOMENTS)("$moment", async ({ plugin: pack, isThere }) => {
    const plugin = await pack();
    await berth.request("POST", "/v1/packages", { body: plugin.bytes });
    const accepted = await accept(berth, plugin);
    await eventually(async () => ((await isThere(accepted.tenant)) ? true : undefined));
    const asked = performance.now();
    const { tenant, taskId } = accepted;
    await berth.json(202, "POST", `/v1/tenants/${tenant}/tasks/${taskId}/cancel`);
    const events = await follow(berth, accepted);
    expect(events.at(-1)).toMatchObject({ state: "cancelled", cause: { code: "cancelled" } });
    // What had been made of it is taken away by an uninstall below the task.
    const installation = `/v1/tenants/${tenant}/installations/${accepted.installationId}`;
    await eventually(async () =>
      (await berth.request("GET", installation)).status === 404 ? true : undefined,
    );
    expect(performance.now() - asked).toBeLessThan(SOON_MS);
    await expectNothingLeft(tenant);
    expect(await site.rows("SELECT key FROM berth_images WHERE state = 'building'")).toEqual([]);
  });
});

const eventsOf = ({ tenant, taskId }: AcceptedInstall) => `/v1/tenants/${tenant}/tasks/${taskId}/events`;

function textOf(event: TaskEventJson): string {
  return String(Reflect.get(event, "text"));
}

/** Of the tenant's install, and of any build. */
async function expectNothingLeft(tenant: string): Promise<void> {
  expect(await site.containers("build")).toEqual([]);
  const runtimes = (await site.containers()).filter(({ labels }) => labels["berth.tenant"] === tenant);
  expect(runtimes).toEqual([]);
  expect(await readdir(join(site.dataFolder, "builds")).catch(() => [])).toEqual([]);
  const cache = await readdir(join(site.dataFolder, "cache", "wheels")).catch(() => []);
  expect(cache.filter((name) => name.startsWith(".tmp"))).toEqual([]);
}
