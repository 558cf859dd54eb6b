/** What changed since a moment, by the database's clock. */
import { expect, it } from "vitest";
import type { Store } from "../../../src/store/store.ts";
import { accepting, aPackage, CAUSE } from "./accepting.ts";

export function changeContract(store: () => Store): void {
  const { claimed, ready } = accepting(store);

  it("reports what changed and what was removed since the last answer", async () => {
    const asked = await ready();
    const before = await store().installations.changedSince(undefined);
    expect(before.items.map(({ id }) => id)).toContain(asked.installation.id);
    await store().installations.setState(asked.installation.id, "crash_loop", CAUSE);
    const changed = await store().installations.changedSince(before.at);
    expect(changed.items.find(({ id }) => id === asked.installation.id)).toMatchObject({
      state: "crash_loop",
    });
    const uninstall = await store().installations.acceptUninstall(asked.installation.id);
    await store().installations.publishRemoved(uninstall.task.id, await claimed(uninstall));
    const after = await store().installations.changedSince(changed.at);
    expect(after.removed).toContain(asked.installation.id);
    expect(after.items.map(({ id }) => id)).not.toContain(asked.installation.id);
  });

  it("writes times by the database's clock, whatever the time zone of the server", async () => {
    const { at } = await store().installations.changedSince(undefined);
    expect(Math.abs(at.getTime() - Date.now())).toBeLessThan(60_000);
    const { stored } = await store().packages.put(aPackage(), {});
    expect(Math.abs(stored.createdAt.getTime() - Date.now())).toBeLessThan(60_000);
  });
}
