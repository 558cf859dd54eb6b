import { realpath } from "node:fs/promises";
import type { Config } from "../config.ts";
import type { Log } from "../observe/log.ts";
import { findHolder, type InstanceHolder, isSame, listLeft, seizeInstance } from "../runtime/claim.ts";
import { lockDataFolder } from "../store/data-folder-lock.ts";
import { Scope } from "../util/scope.ts";
import { openStoreOf } from "./base.ts";
import { openEngine } from "./worker.ts";

/** Who holds the instance id of this database on this engine. */
export interface FoundClaim extends AsyncDisposable {
  readonly instanceId: string;
  readonly self: InstanceHolder;
  /** Undefined where no other Berth holds it. */
  readonly other: InstanceHolder | undefined;
  /** Names of the containers with this instance id. */
  readonly left: readonly string[];
  /** Takes the id and removes the containers; the next start ends their rows. */
  take(): Promise<void>;
}

/** Opens data folder, database and engine of a Berth that does not run. */
export async function claimBerth({ config, log }: { config: Config; log: Log }): Promise<FoundClaim> {
  const scope = new Scope();
  try {
    const { dataFolder, settings } = config;
    if (settings.DATABASE_URL === undefined) scope.use(await lockDataFolder(dataFolder));
    const store = scope.use(await openStoreOf({ config, log, starting: scope.signal }, "berth-claim"));
    const { engine } = await openEngine({ config, log, scope, starting: scope.signal });
    const { instanceId } = store;
    const self = { dataFolder: await realpath(dataFolder), database: store.databaseId };
    const signal = () => AbortSignal.timeout(120_000);
    const holder = await findHolder(engine, instanceId, signal());
    const left = await listLeft(engine, instanceId, signal());
    return {
      instanceId,
      self,
      other: holder === undefined || isSame(holder, self) ? undefined : holder,
      left: left.map(({ name }) => name),
      async take() {
        await seizeInstance(engine, { instanceId, holder: self }, signal());
      },
      [Symbol.asyncDispose]: () => scope.close(),
    };
  } catch (error) {
    await scope.close();
    throw error;
  }
}
