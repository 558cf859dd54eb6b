import { defineConfig } from "vitest/config";

/**
 * `unit` does no I/O beyond temporary files; `contract`, `integration` and `e2e` run against the real Docker Engine,
 * Redis, PGlite and PostgreSQL. Two files run at a time: they spend much of it waiting for containers and short clocks.
 */
export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      { test: { name: "unit", include: ["src/**/*.test.ts"] } },
      ...["contract", "integration", "e2e"].map((name) => ({
        test: {
          name,
          include: [`test/${name}/**/*.test.ts`],
          testTimeout: 120_000,
          hookTimeout: 300_000,
        },
      })),
    ],
  },
});
