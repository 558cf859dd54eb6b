import { relative } from "node:path";
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";
import { expectedMs } from "./scripts/test-budgets.ts";
import { TestReporter } from "./scripts/test-report.ts";

const REPORT = process.env["BERTH_TEST_REPORT"];

/** Full lengths take as much longer (`./dev test soak`). */
const SOAK_FACTOR = process.env["BERTH_TEST_SOAK"] === "1" ? 20 : 1;

/** The slowest first, so that no worker is left alone with one at the end. */
class SlowestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const expected = ({ moduleId }: TestSpecification) => expectedMs(relative(import.meta.dirname, moduleId));
    return files.toSorted((a, b) => expected(b) - expected(a));
  }
}

/**
 * `unit` does no I/O beyond temporary files; `contract`, `integration`, `e2e` and `hostile` run against the real
 * Docker Engine, Redis, PGlite and PostgreSQL. Files of one worker share their modules, which have no state of their
 * own: to load them anew for each file was a third of the time. Groups run one after the other.
 */
export default defineConfig({
  test: {
    isolate: false,
    sequence: { sequencer: SlowestFirst },
    reporters: ["default", ...(REPORT === undefined ? [] : [new TestReporter(REPORT)])],
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: ["src/**/*.test.ts", "scripts/**/*.test.ts"],
          testTimeout: 60_000,
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      // They keep the processors busy.
      onTheEngine("contract", { group: 1, workers: 2 }),
      onTheEngine("integration", { group: 1, workers: 2 }),
      // They wait for containers and short clocks.
      onTheEngine("e2e", { group: 2, workers: 3 }),
      // Its attackers take the machine's processors away from everything that they wait for.
      onTheEngine("hostile", { group: 3, workers: 2, shortMs: 300_000 }),
    ],
  },
});

function onTheEngine(
  name: string,
  {
    group,
    workers,
    shortMs = 120_000,
  }: { readonly group: number; readonly workers: number; readonly shortMs?: number },
) {
  const timeoutMs = shortMs * SOAK_FACTOR;
  return {
    extends: true as const,
    test: {
      name,
      include: [`test/${name}/**/*.test.ts`],
      globalSetup: "test/harness/servers/shared-postgres.ts",
      // Whatever else the machine does.
      expect: { poll: { timeout: 30_000 } },
      testTimeout: timeoutMs,
      hookTimeout: 2.5 * timeoutMs,
      maxWorkers: workers,
      sequence: { groupOrder: group },
    },
  };
}
