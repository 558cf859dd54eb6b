/** Whom the refusals of the plugins' network are told of, where an address passes from one container to the next. */
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { ContainerState } from "../../src/domain/container.ts";
import { startPluginNetwork } from "../../src/egress/plugin-network.ts";
import { type BerthLabels, formatLabels } from "../../src/engine/labels.ts";
import { silentLog } from "../../src/observe/log.ts";
import { listRuntimeImages } from "../../src/runtime/launch/runtime-image.ts";
import { systemClock } from "../../src/util/clock.ts";
import { Scope } from "../../src/util/scope.ts";
import { aPool } from "../harness/builders/a-pool.ts";
import { eventually } from "../harness/clients/client.ts";
import { testEngine } from "../harness/rigs/build.ts";
import { connectFrom } from "../harness/rigs/connect-matrix.ts";
import { aContainerSpec, within } from "../harness/rigs/test-engine.ts";
import { OPEN_EGRESS } from "../harness/samples/egress-settings.ts";

/** Longer than what happens here, so that one report holds it all. */
const REPORT_MS = 15_000;
const POOL = aPool({ lease: { holder: "a-worker", attempt: 1, expiresAt: new Date(Date.now() + 600_000) } });

test("a plugin's refusals are logged under its name, without those of the probe that had its address before", async () => {
  await using scope = new Scope();
  const lines: object[] = [];
  const engine = scope.use(testEngine());
  const instanceId = randomBytes(4).toString("hex");
  const dataFolder = await mkdtemp(join(tmpdir(), "berth-egress-"));
  scope.add(() => rm(dataFolder, { recursive: true }));
  const network = scope.use(
    await startPluginNetwork({
      engine,
      clock: systemClock,
      instanceId,
      dataFolder,
      holder: "a-worker",
      log: { ...silentLog, warn: (fields) => void lines.push(fields) },
      store: { pools: { list: async () => [POOL] }, egress: { list: async () => new Map() } },
      programFolder: join(import.meta.dirname, "../../runtime-images/python/egress"),
      settings: { ...OPEN_EGRESS, reportMs: REPORT_MS },
      everyMs: 60_000,
      pollMs: 60_000,
    }),
  );
  scope.add(() => network.remove(within()));
  const image = (await listRuntimeImages(engine, within()))[0]?.id ?? "";

  const dial = async (labels: Partial<BerthLabels>, targets: readonly string[]): Promise<ContainerState> => {
    const spec = aContainerSpec({
      name: `berth-${instanceId}-${labels.kind}`,
      image,
      network: network.buildNetwork,
      labels: formatLabels({ instance: instanceId, kind: "probe", ...labels }),
      command: ["/usr/local/bin/python3", "-c", "import time; time.sleep(600)"],
    });
    const id = await network.engine.createContainer(spec, within());
    scope.add(() => engine.removeContainer(id, within()));
    await network.engine.startContainer(id, within());
    const found = await connectFrom(engine, id, targets);
    expect(new Set(Object.values(found))).toEqual(new Set(["ECONNREFUSED"]));
    const state = await engine.findContainer(id, within());
    if (state === undefined) throw new Error("it is gone");
    return state;
  };

  const probe = await dial({ kind: "probe" }, ["169.254.169.254:80", "169.254.1.1:22"]);
  await engine.removeContainer(probe.id, within());
  const plugin = await dial({ kind: "runtime", pool: POOL.key }, ["169.254.169.254:80", "169.254.1.2:80"]);
  expect(plugin.address).toBe(probe.address);
  const refused = await eventually(async () => {
    const all = lines.filter((line) => Reflect.get(line, "op") === "egress.refused");
    return all.length > 0 ? all : undefined;
  }, 60_000);
  const own = { op: "egress.refused", ok: false, plugin: POOL.pluginId, pool: POOL.key, count: 1 };
  expect(refused.toSorted((a, b) => JSON.stringify(a).localeCompare(JSON.stringify(b)))).toEqual([
    { ...own, to: "169.254.1.2:80/tcp" },
    { ...own, to: "169.254.169.254:80/tcp" },
  ]);
});
