/** Starting, stopping, checking and replacing plugins; leases and polling. */
import { decimal, type Setting, whole } from "../kinds.ts";

export const SUPERVISION = {
  BERTH_START_SECONDS_MAX: decimal(
    0.1,
    3600,
    "120",
    "Maximum time from the start of a plugin until it is ready",
  ),
  BERTH_START_BUSY_SECONDS_MAX: decimal(
    0.1,
    86_400,
    "360",
    "The same on a busy host: time during which processes wait for a CPU does not count, up to this total",
  ),
  BERTH_STOP_SECONDS_MAX: decimal(0, 3600, "10", "Grace period before SIGKILL"),
  BERTH_IDLE_STOP_SECONDS: decimal(
    0,
    31_536_000,
    "0",
    "A plugin's container is stopped after this time without calls; 0: never",
  ),
  BERTH_LEASE_SECONDS: decimal(0.2, 300, "10", "Lease TTL of tasks, builds and pools"),
  BERTH_SWEEP_SECONDS: decimal(
    0.05,
    3600,
    "5",
    "Interval at which tasks without a worker are enqueued again",
  ),
  BERTH_POLL_SECONDS: decimal(0.05, 5, "2", "Interval at which each process polls the database for changes"),
  BERTH_RECONCILE_SECONDS: decimal(
    0.1,
    3600,
    "30",
    "Interval at which desired and observed containers are reconciled",
  ),
  BERTH_HEALTH_SECONDS: decimal(0.1, 3600, "20", "Interval between health checks"),
  BERTH_HEALTH_PATIENCE_SECONDS: decimal(
    1,
    86_400,
    "300",
    "A plugin that is silent for this time is replaced, however busy the host is",
  ),
  BERTH_HEALTH_REPLACEMENTS_PER_MINUTE: whole(
    1,
    10_000,
    "6",
    "Maximum number of plugins that are replaced in a minute because of failed health checks",
  ),
  BERTH_HEARTBEAT_SECONDS_MAX: decimal(
    1,
    86_400,
    "120",
    "Maximum time without a heartbeat of a plugin that is serving a call; then it counts as hung",
  ),
  BERTH_IDLE_HEARTBEAT_SECONDS_MAX: decimal(1, 86_400, "25", "The same for a plugin without a call"),
  BERTH_PRESSURE_PERCENT_MAX: whole(
    1,
    101,
    "60",
    "CPU pressure (share of time during which processes wait for a CPU) from which the host counts as busy and a silent plugin gets more time; 101: never",
  ),
  BERTH_ORPHAN_SECONDS: decimal(
    0,
    86_400,
    "60",
    "Minimum age of an untracked container before it is removed",
  ),
} as const satisfies Record<string, Setting<unknown>>;
