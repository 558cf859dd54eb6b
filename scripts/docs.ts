/** `npm run docs`: writes what is generated from the code into the pages of `docs/`. A unit test compares them. */
import { readFileSync, writeFileSync } from "node:fs";
import { GENERATED } from "./docs/generated.ts";

for (const [page, generate] of Object.entries(GENERATED)) {
  const path = new URL(`../${page}`, import.meta.url);
  writeFileSync(path, generate(readFileSync(path, "utf8")));
}
