import { openDiskPackages } from "../../src/packages/disk/disk-packages.ts";
import { makeFolder } from "../harness/servers/postgres.ts";
import { packageStoreContract } from "./package-store.contract.ts";

packageStoreContract("folder", async () => {
  const folder = await makeFolder("packages");
  return {
    open: async () =>
      Object.assign(await openDiskPackages({ folder: folder.path, stagedAgeMaxMs: 60_000 }), {
        [Symbol.asyncDispose]: async () => undefined,
      }),
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
});
