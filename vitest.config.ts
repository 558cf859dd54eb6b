import { defineConfig } from "vitest/config";

/** Full lengths take as much longer (`./dev test soak`). */
const SOAK_FACTOR = process.env["BERTH_TEST_SOAK"] === "1" ? 20 : 1;

/**
 * `unit` does no I/O beyond temporary files; `contract`, `integration`, `e2e` and `hostile` run against the real
 * Docker Engine, Redis, PGlite and PostgreSQL. Two files run at a time: they spend much of it waiting for containers
 * and short clocks.
 */
export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      { test: { name: "unit", include: ["src/**/*.test.ts", "scripts/**/*.test.ts"], testTimeout: 60_000 } },
      ...["contract", "integration", "e2e"].map((name) => onTheEngine(name, 120_000)),
      // Its attackers take the machine's processors away from everything that they wait for.
      onTheEngine("hostile", 300_000),
    ],
  },
});

function onTheEngine(name: string, shortMs: number) {
  const timeoutMs = shortMs * SOAK_FACTOR;
  return {
    test: {
      name,
      include: [`test/${name}/**/*.test.ts`],
      // Whatever else the machine does.
      expect: { poll: { timeout: 30_000 } },
      testTimeout: timeoutMs,
      hookTimeout: 2.5 * timeoutMs,
    },
  };
}
