import { claimBerth } from "../app/claim.ts";
import type { Config } from "../config.ts";
import { Fault } from "../domain/fault.ts";
import { createLog } from "../observe/log.ts";
import { describeHolder } from "../runtime/claim.ts";

/**
 * Takes the instance id over on this engine, after a move or a restore: shows the containers that exist, and with
 * `--yes` removes them. Throws `instance_claimed` where there is something to take over and `--yes` is missing.
 */
export async function claim({ config, yes }: { config: Config; yes: boolean }): Promise<void> {
  const log = createLog({ level: "error" });
  const say = (line: string) => void process.stdout.write(`berth: ${line}\n`);
  await using found = await claimBerth({ config, log });
  const { instanceId, self, other, left } = found;
  say(`instance ${instanceId}, ${describeHolder(self)}`);
  if (other === undefined) return say("no other Berth holds the instance on this engine: nothing to do");
  say(`held by the Berth with ${describeHolder(other)}`);
  for (const name of left) say(`${yes ? "removing" : "to be removed"}: container ${name}`);
  if (!yes) {
    throw new Fault(
      "instance_claimed",
      "Nothing was changed. Stop the other Berth permanently, then run berth claim --yes: it removes these containers " +
        "and takes the instance over. The next start of Berth starts the plugins.",
    );
  }
  await found.take();
  say("this Berth now holds the instance");
}
