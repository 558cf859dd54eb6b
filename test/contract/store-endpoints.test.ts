/** Rows of endpoints and the counters beside them, on both databases. */
import { describe, expect, it } from "vitest";
import { createBerthSecrets } from "../../src/endpoint/secret-settings/berth-secrets.ts";
import { resealAll } from "../../src/endpoint/secret-settings/reseal.ts";
import { parseSecretKeys } from "../../src/endpoint/secret-settings/secret-keys.ts";
import { silentLog } from "../../src/observe/log.ts";
import type { Accepted } from "../../src/store/contracts/answers.ts";
import type { Store } from "../../src/store/store.ts";
import { DATABASES, useStore } from "../harness/rigs/stores.ts";
import { anInstall, aPackage, aTenant } from "../harness/samples/tenant-rows.ts";
import { endpointContract } from "./store/endpoints.contract.ts";

const WORKER = "worker-1";
const never = new AbortController().signal;

describe.each(DATABASES)("endpoints on $name", ({ create }) => {
  let store: Store;
  useStore(create, (opened) => {
    store = opened;
  });

  async function attemptOf({ task }: Pick<Accepted, "task">): Promise<number> {
    return (await store.tasks.claim(task.id, WORKER, 60_000))?.attempt ?? 0;
  }

  async function installed(tenantId = aTenant(), pkg = aPackage()) {
    await store.packages.put(pkg, { tenantId });
    const accepted = await store.installations.acceptInstall(anInstall(pkg, tenantId));
    await store.installations.publishReady(accepted.task.id, await attemptOf(accepted));
    return { tenantId, pluginId: pkg.pluginId, pkg, id: accepted.installation.id };
  }
  type Installed = Awaited<ReturnType<typeof installed>>;

  function setUp({ tenantId, pluginId }: Pick<Installed, "tenantId" | "pluginId">, name = "a hook") {
    const id = store.endpoints.newId();
    return store.endpoints.create({ id, tenantId, pluginId, userId: "u", name, settings: { a: 1 } });
  }

  async function uninstall({ id }: Installed, purge = false): Promise<void> {
    const accepted = await store.installations.acceptUninstall(id, purge ? { input: { purge: true } } : {});
    await store.installations.publishRemoved(accepted.task.id, await attemptOf(accepted));
  }

  async function counters({ tenantId, pluginId }: Installed) {
    const row = await store.platform.findInstallation(tenantId, pluginId);
    return [row?.endpointsSetups, row?.endpointsActive];
  }

  endpointContract(() => ({ endpoints: store.endpoints, install: (tenantId) => installed(tenantId) }));

  it("a request of another tenant changes no counter", async () => {
    const plugin = await installed();
    const made = await setUp(plugin);
    const theirs = { ...made, tenantId: aTenant() };
    expect(await store.endpoints.remove(theirs)).toBeUndefined();
    expect(await store.endpoints.setEnabled({ ...theirs, enabled: false })).toBeUndefined();
    expect(await counters(plugin)).toEqual([1, 1]);
  });

  it("both counters follow every change, and a repeated change counts once", async () => {
    const plugin = await installed();
    const [one, two] = [await setUp(plugin), await setUp(plugin)];
    expect(await counters(plugin)).toEqual([2, 2]);
    for (const enabled of [false, false]) await store.endpoints.setEnabled({ ...one, enabled });
    expect(await counters(plugin)).toEqual([2, 1]);
    for (const enabled of [true, true]) await store.endpoints.setEnabled({ ...one, enabled });
    expect(await counters(plugin)).toEqual([2, 2]);
    await store.endpoints.setEnabled({ ...two, enabled: false });
    expect((await store.endpoints.remove(two))?.id).toBe(two.id);
    expect(await store.endpoints.remove(two)).toBeUndefined();
    expect(await counters(plugin)).toEqual([1, 1]);
  });

  it("twenty concurrent changes are all counted", async () => {
    const plugin = await installed();
    const made = await Promise.all(Array.from({ length: 20 }, () => setUp(plugin)));
    expect(await counters(plugin)).toEqual([20, 20]);
    await Promise.all(
      made.map((one, place) =>
        place % 2 === 0
          ? store.endpoints.remove(one)
          : store.endpoints.setEnabled({ ...one, enabled: false }),
      ),
    );
    expect(await counters(plugin)).toEqual([10, 0]);
  });

  it("an uninstall keeps endpoints, a reinstall counts them again, and no counter becomes negative", async () => {
    const plugin = await installed();
    const [one, two, three] = [await setUp(plugin), await setUp(plugin), await setUp(plugin)];
    await uninstall(plugin);
    await expect(setUp(plugin)).rejects.toMatchObject({ code: "installation_not_found" });
    await store.endpoints.setEnabled({ ...one, enabled: false });
    await store.endpoints.remove(two);
    const again = await installed(plugin.tenantId, plugin.pkg);
    expect(await counters(again)).toEqual([2, 1]);
    await store.endpoints.remove(one);
    await store.endpoints.remove(three);
    expect(await counters(again)).toEqual([0, 0]);
  });

  it("an uninstall with purge removes endpoints, and so does the removal of the tenant", async () => {
    const plugin = await installed();
    const one = await setUp(plugin);
    await uninstall(plugin, true);
    expect(await store.endpoints.findByHook(one.hookId)).toBeUndefined();
    const other = await installed();
    const two = await setUp(other);
    const { task } = await store.tenants.acceptRemoval(other.tenantId);
    await expect(setUp(other)).rejects.toMatchObject({ code: "conflict" });
    await expect(store.endpoints.remove(two)).rejects.toMatchObject({ code: "conflict" });
    const attempt = await attemptOf({ task });
    const gone = await store.installations.acceptUninstall(other.id, { force: true });
    await store.installations.publishRemoved(gone.task.id, await attemptOf(gone));
    await store.tenants.publishRemoved(task.id, attempt);
    expect(await store.endpoints.findByHook(two.hookId)).toBeUndefined();
  });

  it("every change is an audit event with its caller", async () => {
    const plugin = await installed();
    const by = { keyId: "platform", keyName: "platform", requestId: "r1" };
    const { tenantId, pluginId } = plugin;
    const id = store.endpoints.newId();
    const made = await store.endpoints.create({
      id,
      tenantId,
      pluginId,
      userId: "",
      name: "n",
      settings: {},
      by,
    });
    await store.endpoints.update({ ...made, name: "m", settings: {}, expected: made.revision, by });
    await store.endpoints.setEnabled({ ...made, enabled: false, by });
    await store.endpoints.setEnabled({ ...made, enabled: true, by });
    await store.endpoints.remove({ ...made, by });
    const { items } = await store.events.list({ tenantId }, { limit: 5 });
    expect(
      items.map(({ kind, subject, actor, installationId }) => [kind, subject, actor, installationId]),
    ).toEqual(
      ["remove", "enable", "disable", "update", "create"].map((work) => [
        `endpoint.${work}`,
        id,
        by,
        plugin.id,
      ]),
    );
  });

  it("a rotation of keys reseals settings of older keys and leaves settings that cannot be opened", async () => {
    const [one, two, three] = ["1", "2", "3"].map((id) => `${id}:${Buffer.alloc(32, id).toString("base64")}`);
    const plugin = await installed();
    const field = { name: "key", type: "secret-input", isRequired: true, scope: undefined, options: [] };
    const secretsOf = (keys: string) => createBerthSecrets({ keys: parseSecretKeys(keys, "a test") });
    const { tenantId, pluginId } = plugin;
    const sealedBy = async (keys: string) => {
      const id = store.endpoints.newId();
      const owner = { tenantId, endpointId: id, userId: "", fields: [field], declared: [] };
      const settings = await secretsOf(keys).seal(owner, { key: "s3cret", url: "u" }, never);
      const of = { id, tenantId, pluginId, userId: "", name: "n" };
      return { owner, made: await store.endpoints.create({ ...of, settings }) };
    };
    const [old, lost, fresh] = [
      await sealedBy(`${one}`),
      await sealedBy(`${three}`),
      await sealedBy(`${two}`),
    ];
    const keys = parseSecretKeys(`${two},${one}`, "a test");
    await resealAll({ store, keys, log: silentLog }, never);
    const after = await store.endpoints.find(old.made);
    expect(after?.settings["key"]).toMatch(/^berth:1:2:/);
    expect(await secretsOf(`${two}`).open(old.owner, after?.settings ?? {}, never)).toEqual({
      key: "s3cret",
      url: "u",
    });
    expect(await store.endpoints.find(lost.made)).toEqual(lost.made);
    expect(await store.endpoints.find(fresh.made)).toEqual(fresh.made);
  });
});
