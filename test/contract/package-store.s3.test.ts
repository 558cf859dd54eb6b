import { silentLog } from "../../src/observe/log.ts";
import { openS3Packages } from "../../src/packages/s3/s3-packages.ts";
import { systemClock } from "../../src/util/clock.ts";
import { Scope } from "../../src/util/scope.ts";
import { makeFolder } from "../harness/postgres.ts";
import { startS3Server } from "../harness/s3-server.ts";
import { packageStoreContract } from "./package-store.contract.ts";

packageStoreContract("bucket", async () => {
  const scope = new Scope();
  const server = scope.use(await startS3Server());
  const settings = server.settings(await server.createBucket());
  return {
    // Each with a folder of its own, as on hosts of their own.
    open: async () => {
      const folder = scope.use(await makeFolder("s3-packages")).path;
      return await openS3Packages({
        settings,
        folder,
        startWaitMs: 0,
        clock: systemClock,
        log: silentLog,
        signal: scope.signal,
      });
    },
    [Symbol.asyncDispose]: () => scope.close(),
  };
});
