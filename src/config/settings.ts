/**
 * Every setting: its name, what is accepted, its default, what it is for. No default stands anywhere else. The page
 * `docs/reference/settings.md` is generated from these groups (`npm run docs`).
 */
import type { z } from "zod";
import type { Setting } from "./kinds.ts";
import { BUILDS } from "./settings/builds.ts";
import { DEBUG } from "./settings/debug.ts";
import { DIFY } from "./settings/dify.ts";
import { NETWORK } from "./settings/network.ts";
import { PACKAGES } from "./settings/packages.ts";
import { PLUGINS } from "./settings/plugins.ts";
import { QUOTAS } from "./settings/quotas.ts";
import { RETENTION } from "./settings/retention.ts";
import { SERVER } from "./settings/server.ts";
import { SERVICES } from "./settings/services.ts";
import { SOURCES } from "./settings/sources.ts";
import { STORAGE } from "./settings/storage.ts";
import { SUPERVISION } from "./settings/supervision.ts";

/** In the order of the page, each under its heading there. */
export const SETTING_GROUPS: Readonly<Record<string, Readonly<Record<string, Setting<unknown>>>>> = {
  "Process and API": SERVER,
  "Dify API server": DIFY,
  "Debug port": DEBUG,
  "Database, queue and engine": SERVICES,
  "Packages and signatures": PACKAGES,
  Storage: STORAGE,
  "Downloads of packages": SOURCES,
  "Builds and installs": BUILDS,
  "Certificate authorities, proxies and egress": NETWORK,
  "Plugins: isolation, limits, replicas": PLUGINS,
  "Budget of the host, quotas of tenants": QUOTAS,
  "Supervision: start, stop, health, leases": SUPERVISION,
  "Retention and disk": RETENTION,
};

export const SETTINGS = {
  ...SERVER,
  ...DIFY,
  ...DEBUG,
  ...SERVICES,
  ...PACKAGES,
  ...STORAGE,
  ...SOURCES,
  ...BUILDS,
  ...NETWORK,
  ...PLUGINS,
  ...QUOTAS,
  ...SUPERVISION,
  ...RETENTION,
} as const satisfies Record<string, Setting<unknown>>;

export type SettingName = keyof typeof SETTINGS;
export type Settings = { readonly [N in SettingName]: z.infer<(typeof SETTINGS)[N]["parse"]> | DefaultOf<N> };
type DefaultOf<N extends SettingName> = (typeof SETTINGS)[N]["default"] extends string ? never : undefined;
