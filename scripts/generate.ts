import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

/**
 * Generates the Prisma client from `prisma/schema.prisma`, unless it exists for this schema and this Prisma.
 * `generate` would download a native schema engine that it does not need, so the variable that names one is set to
 * any executable: for this one child process only, because with it `migrate` would succeed without migrating.
 */
const root = new URL("../", import.meta.url);
const stamp = new URL("src/store/prisma/generated/.made-from", root);
const require = createRequire(import.meta.url);
const prismaManifest = require.resolve("prisma/package.json");

function readText(file: URL | string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

const madeFrom = createHash("sha256")
  .update(readText(new URL("prisma/schema.prisma", root)))
  .update(readText(prismaManifest))
  .digest("hex");

if (readText(stamp) !== madeFrom) {
  const cli = fileURLToPath(new URL("build/index.js", `file://${prismaManifest}`));
  const { status } = spawnSync(process.execPath, [cli, "generate"], {
    cwd: fileURLToPath(root),
    env: { ...process.env, PRISMA_SCHEMA_ENGINE_BINARY: process.execPath, PRISMA_HIDE_UPDATE_MESSAGE: "1" },
    stdio: ["ignore", "ignore", "inherit"],
  });
  if (status !== 0) process.exit(status ?? 1);
  writeFileSync(stamp, madeFrom);
}
