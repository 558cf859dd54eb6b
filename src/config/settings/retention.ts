/** How long history is kept, and how much disk space each kind of data may use. */
import { decimal, type Setting, whole } from "../kinds.ts";

export const RETENTION = {
  BERTH_EVENT_DAYS: decimal(0, 36_500, "90", "Retention of audit events; 0: forever"),
  BERTH_TASK_DAYS: decimal(0, 36_500, "90", "Retention of finished tasks and their logs; 0: forever"),
  BERTH_RUNTIME_DAYS: decimal(
    0,
    36_500,
    "90",
    "Retention of the history of a plugin's containers; 0: the last 200 of each pool, forever",
  ),
  BERTH_UPLOAD_DAYS: decimal(
    0,
    36_500,
    "0",
    "Age at which an uploaded package that nobody has installed is removed; 0: never",
  ),
  BERTH_DISK_IMAGES_MB: whole(0, 16_777_216, "20480", "Disk budget of plugins' images (MiB)"),
  BERTH_DISK_WHEELS_MB: whole(0, 16_777_216, "5120", "Disk budget of the wheel cache of builds (MiB)"),
  BERTH_DISK_PACKAGES_MB: whole(0, 16_777_216, "10240", "Disk budget of packages (MiB)"),
  BERTH_DISK_BUILD_LOGS_MB: whole(0, 16_777_216, "512", "Disk budget of build logs (MiB)"),
  BERTH_DISK_RUNTIME_LOGS_MB: whole(0, 16_777_216, "2048", "Disk budget of plugins' logs (MiB)"),
  BERTH_DISK_GC_SECONDS: decimal(
    0,
    86_400,
    "600",
    "Interval at which data beyond these budgets is removed; 0: only on request",
  ),
  BERTH_DISK_GRACE_SECONDS: decimal(
    0,
    31_536_000,
    "3600",
    "Minimum age of leftovers of interrupted work before they are removed",
  ),
} as const satisfies Record<string, Setting<unknown>>;
