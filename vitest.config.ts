import { defineConfig } from "vitest/config";

/**
 * `unit` does no I/O beyond temporary files; `contract`, `integration` and `e2e` run against the real Docker Engine,
 * Redis, PGlite and PostgreSQL. Files of the latter run one after the other: they share one machine.
 */
export default defineConfig({
  test: {
    projects: [
      { test: { name: "unit", include: ["src/**/*.test.ts"] } },
      ...["contract", "integration", "e2e"].map((name) => ({
        test: {
          name,
          include: [`test/${name}/**/*.test.ts`],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 300_000,
        },
      })),
    ],
  },
});
