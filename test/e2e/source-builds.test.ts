/** A requirement that only a source archive provides, over the API: a kill during its build, and a tenant that refuses it. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { Scope } from "../../src/util/scope.ts";
import {
  accept,
  aTenant,
  eventually,
  failInstall,
  follow,
  type PackedPlugin,
  packPlugin,
  upload,
} from "../harness/clients/client.ts";
import type { BerthProcess } from "../harness/rigs/berth.ts";
import { openSite, type Site } from "../harness/rigs/site.ts";
import { treeOf } from "../harness/samples/source-trees.ts";
import { bridgeAddress, startWheelIndex, type WheelIndex } from "../harness/servers/wheel-index.ts";

const scope = new Scope();
const helper = Promise.withResolvers<void>();
let site: Site;
let berth: BerthProcess;
let index: WheelIndex;
let plugin: PackedPlugin;
beforeAll(async () => {
  index = scope.use(
    await startWheelIndex([
      { name: "plain", version: "1.0", files: { "plain.py": "" } },
      // The build of the source waits for it, between its start and its end.
      { name: "helper", version: "1.0", files: { "helper.py": "" }, held: helper.promise },
      { name: "sourced", version: "1.0", files: treeOf("sourced", "1.0"), isSource: true },
    ]),
  );
  const bypass = process.env["no_proxy"] ?? process.env["NO_PROXY"] ?? "";
  const env = { no_proxy: `${bypass},${bridgeAddress()}`, BERTH_PACKAGE_INDEX_URL: index.url };
  site = scope.use(await openSite({ env }));
  berth = await site.start();
  plugin = await packPlugin("echo", {
    "requirements.txt": "sourced\n",
    "main.py": (text) => `import plain, sourced\n${text}`,
  });
});
afterAll(() => scope.close());

test("Berth, killed while it builds a requirement from source, builds it after the next start and leaves no container", async () => {
  await upload(berth, plugin);
  const accepted = await accept(berth, plugin);
  await eventually(async () => index.requests.find((path) => path.includes("/helper-1.0")));
  const names = (await site.containers("build")).map(({ name }) => name);
  expect(names).toContainEqual(expect.stringContaining("-source-1"));
  await berth.kill("SIGKILL");
  helper.resolve();
  berth = await site.start();
  expect((await follow(berth, accepted)).at(-1)).toMatchObject({ type: "end", state: "ready" });
  expect(await site.containers("build")).toEqual([]);
});

test("a tenant whose policy refuses builds from source cannot install the package, although its image is there", async () => {
  const tenant = aTenant();
  const body = { installations: null, memory_bytes: null, source_builds: "refuse" };
  expect(await berth.json(200, "PUT", `/v1/tenants/${tenant}/quotas`, { body })).toMatchObject({
    quotas: { source_builds: "refuse" },
    in_force: { source_builds: "refuse" },
  });
  expect((await failInstall(berth, plugin, tenant)).cause).toMatchObject({
    code: "source_build_refused",
    message: expect.stringContaining("built from source (sourced==1.0)"),
  });
});
