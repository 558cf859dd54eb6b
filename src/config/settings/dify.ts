/** Serving a Dify API server in place of dify-plugin-daemon. */
import { decimal, hostCallPlaces, oneOf, publicUrl, type Setting, secret, whole } from "../kinds.ts";

export const DIFY = {
  BERTH_DIFY_KEY: secret(
    "Key of a Dify API server (its `PLUGIN_DAEMON_KEY`). If set, Berth also serves the API of dify-plugin-daemon",
  ),
  BERTH_DIFY_KEY_DEFAULT: oneOf(
    ["refuse", "accept"],
    "refuse",
    "`accept` allows the key from Dify's published example files",
  ),
  BERTH_DIFY_ADMIN_KEY: secret("Key of that API's `/admin` routes; if unset, they do not exist"),
  BERTH_DIFY_INNER_URL: publicUrl(
    "URL of Dify's inner API. If set, the inner API encrypts and decrypts the secrets of endpoints, and serves plugins' calls back",
  ),
  BERTH_DIFY_INNER_KEY: secret("Key of the inner API (its `INNER_API_KEY_FOR_PLUGIN`)"),
  BERTH_DIFY_INNER_CONNECT_SECONDS_MAX: decimal(0.1, 3600, "5", "Timeout for connecting to the inner API"),
  BERTH_DIFY_INNER_SECONDS_MAX: decimal(
    0.1,
    86_400,
    "30",
    "Timeout of one request to the inner API about the secrets of endpoints; a call back has the time of its session",
  ),
  BERTH_DIFY_INNER_FRAME_MB_MAX: whole(
    1,
    256,
    "30",
    "Maximum size of one item of an answer of the inner API to a call back (MiB)",
  ),
  BERTH_HOST_CALLS: hostCallPlaces(
    "Who serves plugins' calls back: the inner API or Berth itself. Without a value the inner API serves all where it is set; Berth always serves `storage`",
  ),
} as const satisfies Record<string, Setting<unknown>>;
