/** The process, its API and its log. */
import { decimal, integer, oneOf, publicUrl, type Setting, secret, text, whole } from "../kinds.ts";

export const SERVER = {
  BERTH_DATA: text("./data", "Data folder: database, queue, packages, logs and sockets"),
  BERTH_HOST: text("127.0.0.1", "Address to listen on"),
  BERTH_PORT: whole(0, 65_535, "5002", "Port to listen on; 0 picks a free port"),
  BERTH_PUBLIC_URL: publicUrl(
    "URL at which callers reach Berth. If set, responses contain whole URLs; if unset, paths",
  ),
  BERTH_ADMIN_KEY: secret(
    "Operator's key; if unset, the first start creates one in `admin-key` in the data folder",
  ),
  BERTH_SECRET_KEYS: secret(
    "Keys that encrypt credentials, secret variables and, where no inner API does, the secrets of endpoints: `id:base64 of 32 bytes`, comma-separated; the first one encrypts, all decrypt. If unset, the first start creates one in `secret-keys` in the data folder",
  ),
  BERTH_LOG_LEVEL: oneOf(["debug", "info", "warn", "error", "silent"], "info", "Least severe level to log"),
  BERTH_METRICS: oneOf(["on", "off"], "on", "`off` removes `/metrics`"),
  BERTH_ENDPOINTS: oneOf(["on", "off"], "on", "`off` closes all hooks, the URLs `/e/...`"),
  BERTH_HOOK_BODY_MB_MAX: whole(1, 256, "10", "Maximum size of the body of a hook request (MiB)"),
  BERTH_HTTP_CONNECTIONS_MAX: whole(1, 100_000, "4096", "Maximum number of open connections to the API"),
  BERTH_HTTP_IDLE_SECONDS: decimal(
    0.1,
    3600,
    "75",
    "Keep-alive timeout: a connection without a request is closed after this time. Set it higher than the timeout of a proxy in front",
  ),
  BERTH_HTTP_REQUEST_SECONDS_MAX: decimal(
    1,
    86_400,
    "300",
    "Maximum time to receive a whole request, including an upload",
  ),
  BERTH_DRAIN_DELAY_SECONDS: decimal(
    0,
    3600,
    "0",
    "Time after a stop signal during which Berth still accepts requests but reports not ready, so that a load balancer stops sending",
  ),
  BERTH_NICE: integer(
    -20,
    19,
    "-5",
    "Scheduling priority (`nice`) of Berth's own processes. Below 0 they run before plugins on a busy host, if Berth may set it",
  ),
  BERTH_EXCEPTIONS_PER_MINUTE_MAX: whole(
    0,
    1_000_000,
    "10",
    "Maximum number of uncaught exceptions in a minute. More end the process; plugins keep running",
  ),
} as const satisfies Record<string, Setting<unknown>>;
