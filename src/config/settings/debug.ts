/** The port for plugins that their authors run themselves. */
import { optional, type Setting, text, whole } from "../kinds.ts";

export const DEBUG = {
  BERTH_DEBUG_PORT: whole(
    0,
    65_535,
    "0",
    "Port for plugins that their authors run themselves, to debug them; 0: none",
  ),
  BERTH_DEBUG_HOST: text("127.0.0.1", "Address of that port"),
  BERTH_DEBUG_TLS_CERT: optional(
    "PEM file with the certificate of that port. If set, it accepts TLS only; the SDK has none and needs a tunnel then",
  ),
  BERTH_DEBUG_TLS_KEY: optional("PEM file with the key of the certificate"),
  BERTH_DEBUG_CONNECTIONS_MAX: whole(1, 10_000, "64", "Maximum number of connections to that port"),
  BERTH_DEBUG_TENANT_CONNECTIONS_MAX: whole(
    1,
    1_000,
    "5",
    "Maximum number of plugins of one tenant that are connected at the same time",
  ),
} as const satisfies Record<string, Setting<unknown>>;
