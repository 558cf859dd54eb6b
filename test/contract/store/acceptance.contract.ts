/** Requests to install and uninstall: one installation and one task, however often and however many ask. */
import { expect, it } from "vitest";
import type { Store } from "../../../src/store/store.ts";
import { aTenant } from "../../harness/samples/tenant-rows.ts";
import { accepting, anInstall, aPackage, CAUSE } from "./accepting.ts";

export function acceptanceContract(store: () => Store): void {
  const { accepted, claimed } = accepting(store);

  it("gives ten concurrent requests one installation and one task", async () => {
    const pkg = aPackage();
    const tenantId = aTenant();
    await store().packages.put(pkg, { tenantId });
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => store().installations.acceptInstall(anInstall(pkg, tenantId))),
    );
    expect(new Set(answers.map(({ installation }) => installation.id)).size).toBe(1);
    expect(new Set(answers.map(({ task }) => task.id)).size).toBe(1);
    expect(answers.filter(({ created }) => created)).toHaveLength(1);
  });

  it("refuses another version of an installed plugin", async () => {
    const { installation } = await accepted();
    const other = { ...aPackage(), pluginId: installation.pluginId };
    await expect(
      store().installations.acceptInstall(anInstall(other, installation.tenantId)),
    ).rejects.toMatchObject({ code: "conflict", details: { accepted: installation.identifier } });
  });

  it("gives a failed installation a new task", async () => {
    const pkg = aPackage();
    const first = await accepted(pkg);
    const end = { state: "failed", cause: CAUSE, markInstallation: true } as const;
    await store().tasks.finish(first.task.id, await claimed(first), end);
    expect(await store().installations.find(first.installation.id)).toMatchObject({
      state: "failed",
      cause: CAUSE,
    });
    const second = await store().installations.acceptInstall(anInstall(pkg, first.installation.tenantId));
    expect(second.installation).toMatchObject({
      id: first.installation.id,
      state: "installing",
      cause: undefined,
    });
    expect(second.task.id).not.toBe(first.task.id);
    expect((await store().tasks.latestOf(first.installation.id))?.id).toBe(second.task.id);
  });

  it("returns the first answer to an idempotency key and refuses another request with it", async () => {
    const pkg = aPackage();
    const tenantId = aTenant();
    await store().packages.put(pkg, { tenantId });
    const idempotency = { holder: "key-1", key: crypto.randomUUID(), requestHash: "one" };
    const request = { ...anInstall(pkg, tenantId), idempotency };
    const answers = await Promise.all([
      store().installations.acceptInstall(request),
      store().installations.acceptInstall(request),
    ]);
    expect(answers[1]).toEqual(answers[0]);
    await expect(
      store().installations.acceptInstall({
        ...request,
        idempotency: { ...idempotency, requestHash: "two" },
      }),
    ).rejects.toMatchObject({ code: "idempotency_mismatch" });
  });

  it("leaves an idempotency key free when its request was refused", async () => {
    const { installation } = await accepted();
    const other = { ...aPackage(), pluginId: installation.pluginId };
    const idempotency = { holder: "key-1", key: crypto.randomUUID(), requestHash: "one" };
    const refused = { ...anInstall(other, installation.tenantId), idempotency };
    await expect(store().installations.acceptInstall(refused)).rejects.toMatchObject({ code: "conflict" });
    const pkg = aPackage();
    await store().packages.put(pkg, {});
    const request = { ...anInstall(pkg, aTenant()), idempotency: { ...idempotency, requestHash: "two" } };
    expect(await store().installations.acceptInstall(request)).toMatchObject({ created: true });
  });

  it("cancels a running install when its uninstall is accepted, and answers a repeated uninstall with the same task", async () => {
    const install = await accepted();
    const attempt = await claimed(install);
    const [first, second] = [
      await store().installations.acceptUninstall(install.installation.id),
      await store().installations.acceptUninstall(install.installation.id),
    ];
    expect(first.installation.state).toBe("removing");
    expect(second.task.id).toBe(first.task.id);
    expect(await store().tasks.find(install.task.id)).toMatchObject({ state: "cancelled" });
    await expect(store().installations.publishReady(install.task.id, attempt)).rejects.toMatchObject({
      code: "lease_lost",
    });
    await expect(
      store().installations.acceptInstall(
        anInstall({ ...aPackage(), ...install.installation }, install.installation.tenantId),
      ),
    ).rejects.toMatchObject({ code: "conflict" });
  });
}
