import { silentLog } from "../../src/observe/log.ts";
import { openS3Storage } from "../../src/packages/s3/open-storage.ts";
import { systemClock } from "../../src/util/clock.ts";
import { Scope } from "../../src/util/scope.ts";
import { makeFolder } from "../harness/servers/postgres.ts";
import { startS3Server } from "../harness/servers/s3-server.ts";
import { packageStoreContract } from "./package-store.contract.ts";

packageStoreContract("bucket", async () => {
  const scope = new Scope();
  const server = scope.use(await startS3Server());
  const settings = server.settings(await server.createBucket());
  return {
    // Each with a folder of its own, as on hosts of their own.
    open: async () => {
      const folder = scope.use(await makeFolder("s3-packages")).path;
      const { packages, [Symbol.asyncDispose]: dispose } = await openS3Storage({
        settings,
        folder,
        packagesFolder: "plugin_packages",
        startWaitMs: 0,
        clock: systemClock,
        log: silentLog,
        signal: scope.signal,
      });
      return Object.assign(packages, { [Symbol.asyncDispose]: dispose });
    },
    [Symbol.asyncDispose]: () => scope.close(),
  };
});
