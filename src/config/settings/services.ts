/** What Berth connects to: database, queue, engine. */
import { decimal, oneOf, type Setting, secret, text, whole } from "../kinds.ts";

export const SERVICES = {
  DATABASE_URL: secret("PostgreSQL 14+ (`postgresql://...`); if unset, PGlite in the data folder"),
  BERTH_DATABASE_POOL: whole(1, 1000, "10", "Maximum number of connections of each process to PostgreSQL"),
  REDIS_URL: secret(
    "Redis 6.2+ (`redis://`, `rediss://`, `unix://`, `redis+sentinel://`); if unset, a `redis-server` child process in the data folder",
  ),
  BERTH_START_WAIT_SECONDS: decimal(
    0,
    86_400,
    "60",
    "How long a start waits for PostgreSQL, Redis and the Docker Engine; 0 tries once",
  ),
  BERTH_ENGINE_SOCKET: text("/var/run/docker.sock", "Unix socket of the Docker Engine"),
  BERTH_DOCTOR: oneOf(
    ["on", "off"],
    "on",
    "`off` skips the check, on the first start with a new engine, that the limits of plugins hold there",
  ),
} as const satisfies Record<string, Setting<unknown>>;
