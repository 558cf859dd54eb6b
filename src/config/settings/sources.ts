/** Where packages are downloaded from. */
import { baseUrl, decimal, networks, type Setting, secret, whole } from "../kinds.ts";

export const SOURCES = {
  BERTH_MARKETPLACE_URL: baseUrl(
    "https://marketplace.dify.ai",
    "Marketplace from which packages are downloaded",
  ),
  BERTH_MARKETPLACE_TOKEN: secret("Token for the marketplace, if it requires one"),
  BERTH_GITHUB_URL: baseUrl(
    "https://github.com",
    "GitHub server from whose releases packages are downloaded",
  ),
  BERTH_GITHUB_API_URL: baseUrl(
    "https://api.github.com",
    "API of that server, used if `BERTH_GITHUB_TOKEN` is set",
  ),
  BERTH_GITHUB_TOKEN: secret(
    "Token for the GitHub API: gives access to private repositories and raises the rate limit",
  ),
  BERTH_SOURCE_SECONDS_MAX: decimal(0.1, 86_400, "600", "Maximum time of a download, including its retries"),
  BERTH_SOURCE_SILENCE_SECONDS_MAX: decimal(
    0.1,
    3600,
    "30",
    "Maximum time of a download without a byte; then it is retried",
  ),
  BERTH_SOURCE_REDIRECTS_MAX: whole(0, 20, "5", "Maximum number of redirects that a download follows"),
  BERTH_SOURCE_PRIVATE_NETWORKS: networks("Non-public addresses that downloads may reach"),
} as const satisfies Record<string, Setting<unknown>>;
