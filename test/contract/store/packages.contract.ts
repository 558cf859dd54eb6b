/** Packages: written once, visible to those who uploaded or installed them, listed newest first. */
import { expect, it } from "vitest";
import type { Store } from "../../../src/store/store.ts";
import { aTenant } from "../../harness/samples/tenant-rows.ts";
import { anInstall, aPackage } from "./accepting.ts";

export function packageContract(store: () => Store): void {
  it("keeps the declaration's key order and reports whether a package is new", async () => {
    const pkg = aPackage();
    expect(await store().packages.put(pkg, {})).toMatchObject({ created: true });
    const again = await store().packages.put(pkg, {});
    expect(again.created).toBe(false);
    expect(Object.keys(again.stored.declaration)).toEqual(["zebra", "ant"]);
  });

  it("shows a tenant only the packages that it uploaded or installed", async () => {
    const [mine, other] = [aTenant(), aTenant()];
    const pkg = aPackage();
    await store().packages.put(pkg, { tenantId: other });
    expect(await store().packages.isVisibleTo(pkg.identifier, mine)).toBe(false);
    expect((await store().packages.list({ tenantId: mine }, { limit: 10 })).items).toEqual([]);
    await store().installations.acceptInstall(anInstall(pkg, mine));
    expect(await store().packages.isVisibleTo(pkg.identifier, mine)).toBe(true);
    expect((await store().packages.list({ tenantId: other }, { limit: 10 })).items).toHaveLength(1);
  });

  it("pages newest first without losing or repeating a package", async () => {
    const tenantId = aTenant();
    const written: string[] = [];
    for (let n = 0; n < 7; n += 1) {
      const pkg = aPackage();
      await store().packages.put(pkg, { tenantId });
      written.unshift(pkg.identifier);
    }
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await store().packages.list(
        { tenantId },
        { limit: 3, ...(cursor === undefined ? {} : { cursor }) },
      );
      seen.push(...page.items.map(({ identifier }) => identifier));
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    expect(seen).toEqual(written);
  });

  it("refuses a cursor that it never returned", async () => {
    await expect(store().packages.list({}, { limit: 1, cursor: "nonsense" })).rejects.toMatchObject({
      code: "invalid_input",
      details: { field: "cursor", value: "nonsense" },
    });
  });
}
