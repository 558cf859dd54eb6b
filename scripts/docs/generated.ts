import { withDaemonSettings } from "./daemon-settings.ts";
import { settingsPage } from "./settings-page.ts";

/** Pages with generated text: what each must be, made from what it is. */
export const GENERATED: Readonly<Record<string, (page: string) => string>> = {
  "docs/reference/settings.md": settingsPage,
  "docs/dify-settings.md": withDaemonSettings,
};
