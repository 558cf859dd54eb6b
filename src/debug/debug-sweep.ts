import type { Log } from "../observe/log.ts";
import { Outage } from "../observe/outage.ts";
import type { Store } from "../store/store.ts";
import { type Clock, poll } from "../util/clock.ts";
import type { DebugInstallations } from "./debug-installations.ts";

export interface DebugSweepDeps {
  readonly store: { readonly debug: Pick<Store["debug"], "listAbandoned"> };
  readonly installations: Pick<DebugInstallations, "remove">;
  readonly clock: Clock;
  readonly log: Log;
  readonly everyMs: number;
}

/** Removes the installations of connections whose process has died: their plugins cannot be reached any more. */
export function startDebugSweep({
  store,
  installations,
  clock,
  log,
  everyMs,
}: DebugSweepDeps): AsyncDisposable {
  const stop = new AbortController();
  const outage = new Outage(log, "debug.sweep");
  const sweep = async () => {
    for (const runtimeId of await store.debug.listAbandoned()) {
      await installations.remove(runtimeId);
      log.info({ op: "debug.sweep", ok: true, runtime_id: runtimeId });
    }
  };
  const sweeping = poll({ clock, everyMs }, () => outage.run(sweep), stop.signal);
  return {
    async [Symbol.asyncDispose]() {
      stop.abort(new Error("closed"));
      await sweeping;
    },
  };
}
