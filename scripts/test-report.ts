/** What a test run leaves for `scripts/test.ts`: counts, and how long each file took. */
import { writeFileSync } from "node:fs";
import { relative } from "node:path";
import type { Reporter, TestModule } from "vitest/node";

export interface TestReport {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly files: readonly FileTime[];
}

export interface FileTime {
  /** Relative to the project's root. */
  readonly file: string;
  /** Milliseconds, with imports and hooks. */
  readonly ms: number;
}

/** Writes a `TestReport` as JSON at the end of the run. */
export class TestReporter implements Reporter {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const count = (state: string) => tests.filter((test) => test.result().state === state).length;
    const report: TestReport = {
      passed: count("passed"),
      failed: count("failed"),
      skipped: count("skipped") + count("pending"),
      files: modules.map(timeOf),
    };
    writeFileSync(this.#path, JSON.stringify(report));
  }
}

function timeOf(module: TestModule): FileTime {
  const { environmentSetupDuration, prepareDuration, collectDuration, setupDuration, duration } =
    module.diagnostic();
  return {
    file: relative(process.cwd(), module.moduleId),
    ms: environmentSetupDuration + prepareDuration + collectDuration + setupDuration + duration,
  };
}
