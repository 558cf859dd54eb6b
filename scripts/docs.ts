/** `npm run docs`: writes the pages of `docs/` that are generated from the code. A unit test compares them. */
import { writeFileSync } from "node:fs";
import { SETTINGS_PAGE, settingsPage } from "./docs/settings-page.ts";

writeFileSync(SETTINGS_PAGE, settingsPage());
