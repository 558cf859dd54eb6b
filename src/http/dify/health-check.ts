import type { Connections } from "../server/connections.ts";
import type { DifyDoor } from "./door.ts";

/** How busy the process is, from the listener's counts. */
export type ServerLoad = Pick<Connections, "requests" | "connectionsMax">;

/** Checks neither database nor Redis; `/health/ready` does. No key, no envelope, always 200. */
export function addHealthCheck(
  door: DifyDoor,
  deps: {
    readonly load: () => ServerLoad | undefined;
    readonly calls: () => number;
    readonly version: string;
  },
): void {
  door.on({ method: "GET", path: "/health/check", gate: "open" }, () => {
    const { requests, connectionsMax } = deps.load() ?? { requests: 0, connectionsMax: 0 };
    return Response.json({
      status: "ok",
      // the daemon's pool is its workers; here each connection is served at once
      pool_status: { free: connectionsMax - requests, busy: requests, total: connectionsMax },
      version: deps.version,
      build_time: "",
      platform: "local",
      active_requests: requests,
      active_dispatch_requests: deps.calls(),
    });
  });
}
