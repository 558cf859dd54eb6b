import type { Connections } from "../server/connections.ts";
import type { DifyDoor } from "./door.ts";

/** What a process is busy with, as its own answers tell it. */
export type Business = Pick<Connections, "requests" | "connectionsMax">;

/** Asks nothing of database and Redis: `/health/ready` does. No key, no envelope, always 200. */
export function addHealthCheck(
  door: DifyDoor,
  deps: {
    readonly business: () => Business | undefined;
    readonly calls: () => number;
    readonly version: string;
  },
): void {
  door.on({ method: "GET", path: "/health/check", gate: "open" }, () => {
    const { requests, connectionsMax } = deps.business() ?? { requests: 0, connectionsMax: 0 };
    return Response.json({
      status: "ok",
      // the daemon's pool are its workers; each connection is served at once here
      pool_status: { free: connectionsMax - requests, busy: requests, total: connectionsMax },
      version: deps.version,
      build_time: "",
      platform: "local",
      active_requests: requests,
      active_dispatch_requests: deps.calls(),
    });
  });
}
