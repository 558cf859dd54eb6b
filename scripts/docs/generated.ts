import { commandsPage } from "./commands-page.ts";
import { withDaemonSettings } from "./daemon-settings.ts";
import { withHostCalls } from "./host-calls.ts";
import { settingsPage } from "./settings-page.ts";
import { withVariantPackages } from "./variant-packages.ts";

/** Generated pages: from a page's current text to its new text. */
export const GENERATED: Readonly<Record<string, (page: string) => string>> = {
  "docs/reference/commands.md": commandsPage,
  "docs/reference/settings.md": settingsPage,
  "docs/dify-settings.md": withDaemonSettings,
  "docs/host-calls.md": withHostCalls,
  "docs/runtime-images.md": withVariantPackages,
};
