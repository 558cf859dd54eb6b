/** How long each test file may take, and how the budgets are read on another machine. */
import { createHash } from "node:crypto";

/**
 * Seconds that a file takes in a whole run on 2 cores, with imports and hooks. Files of a project that are not named
 * take this at most.
 */
const PROJECT_SECONDS: Readonly<Record<string, number>> = {
  src: 4,
  scripts: 4,
  contract: 10,
  integration: 12,
  e2e: 25,
  hostile: 30,
};

/** Files that take more, as measured. A change that makes a file slower updates this table. */
export const FILE_SECONDS: Readonly<Record<string, number>> = {
  "src/runtime/supervise/keeper.test.ts": 5,
  "src/runtime/supervise/pool/admit.test.ts": 10,
  "src/runtime/supervise/pool/replica-ends.test.ts": 10,
  "src/runtime/supervise/pool/replicas.test.ts": 10,
  "test/contract/store-changes.test.ts": 15,
  "test/contract/store-credentials.test.ts": 15,
  "test/contract/store-installed.test.ts": 10,
  "test/contract/store-platform-tasks.test.ts": 10,
  "test/contract/store-takeover.test.ts": 15,
  "test/e2e/author-pages.test.ts": 100,
  "test/e2e/backup.test.ts": 90,
  "test/e2e/behind-our-back.test.ts": 65,
  "test/e2e/bundle.test.ts": 35,
  "test/e2e/changes-split.test.ts": 80,
  "test/e2e/changes.test.ts": 170,
  "test/e2e/collection.test.ts": 45,
  "test/e2e/compose.test.ts": 215,
  "test/e2e/credentials.test.ts": 35,
  "test/e2e/debug.test.ts": 75,
  "test/e2e/dify-dispatch.test.ts": 40,
  "test/e2e/dify-install.test.ts": 50,
  "test/e2e/dify-operations.test.ts": 40,
  "test/e2e/dify-tenants.test.ts": 40,
  "test/e2e/dev.test.ts": 75,
  "test/e2e/dev-container.test.ts": 35,
  "test/e2e/disk.test.ts": 110,
  "test/e2e/doctor.test.ts": 40,
  "test/e2e/egress.test.ts": 65,
  "test/e2e/explained.test.ts": 105,
  "test/e2e/faulty-plugins.test.ts": 75,
  "test/e2e/full-disk.test.ts": 30,
  "test/e2e/hooks.test.ts": 30,
  "test/e2e/hung-plugins.test.ts": 120,
  "test/e2e/kill-points.test.ts": 45,
  "test/e2e/kill.test.ts": 250,
  "test/e2e/lifecycle.test.ts": 150,
  "test/e2e/limits.test.ts": 35,
  "test/e2e/main-job.test.ts": 100,
  "test/e2e/offline.test.ts": 135,
  "test/e2e/packages-s3.test.ts": 60,
  "test/e2e/packages.test.ts": 45,
  "test/e2e/plugin-rows.test.ts": 30,
  "test/e2e/private-network.test.ts": 85,
  "test/e2e/real-servers.test.ts": 35,
  "test/e2e/redis-gone.test.ts": 30,
  "test/e2e/remove-tenant.test.ts": 40,
  "test/e2e/replicas.test.ts": 50,
  "test/e2e/servers-away.test.ts": 35,
  "test/e2e/settings.test.ts": 120,
  "test/e2e/sources.test.ts": 60,
  "test/e2e/split.test.ts": 135,
  "test/e2e/takeover.test.ts": 70,
  "test/e2e/trust.test.ts": 40,
  "test/e2e/unstorable-words.test.ts": 65,
  "test/e2e/variables.test.ts": 30,
  "test/e2e/wrong-input.test.ts": 30,
  "test/hostile/attacks.test.ts": 145,
  "test/hostile/engine-death.test.ts": 45,
  "test/integration/build.test.ts": 30,
  "test/integration/dev.test.ts": 25,
  "test/integration/debug-port.test.ts": 30,
  "test/integration/egress-refusals.test.ts": 20,
  "test/integration/postgres-server.test.ts": 25,
  "test/integration/private-network.test.ts": 20,
  "test/integration/requirement-files.test.ts": 15,
  "test/integration/runner-key.test.ts": 20,
  "test/integration/runner-reach.test.ts": 25,
  "test/integration/runtime.test.ts": 33,
  "test/integration/runtime-images.test.ts": 35,
  "test/integration/sign-commands.test.ts": 20,
  "test/integration/source-builds.test.ts": 42,
  "test/integration/store-kill.test.ts": 15,
  "test/integration/store-migrations.test.ts": 40,
  "test/integration/store-rows.test.ts": 50,
};

/** A file is late when it takes this many times as long as it did when it was measured. */
const ROOM = 3;
/** Whatever it is: a short pause of the machine makes nobody late. */
const BUDGET_MS_MIN = 30_000;
/** What `work` took on the machine of the measurements. */
const REFERENCE_MS = 170;

/** Milliseconds that a file takes on the machine of the measurements; `file` is relative to the project's root. */
export function expectedMs(file: string): number {
  const [top = "", project = ""] = file.split("/");
  const seconds = FILE_SECONDS[file] ?? PROJECT_SECONDS[top === "test" ? project : top] ?? 0;
  return seconds * 1000;
}

export function budgetMs(file: string): number {
  return Math.max(BUDGET_MS_MIN, ROOM * expectedMs(file));
}

/** How many times as slow this machine is now; 1 for one that is as fast or faster. */
export function machineFactor(): number {
  const began = performance.now();
  work();
  return Math.max(1, (performance.now() - began) / REFERENCE_MS);
}

function work(): void {
  const block = Buffer.alloc(1 << 20);
  const hash = createHash("sha256");
  for (let blocks = 0; blocks < 256; blocks += 1) hash.update(block);
  hash.digest();
}
