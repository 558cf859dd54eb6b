import { type SpawnOptions, spawn } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { z } from "zod";
import { budgetMs, machineFactor } from "./test-budgets.ts";
import type { FileTime, TestReport } from "./test-report.ts";

/**
 * `./dev test [NAME]...`: the static checks and the tests as one list of proofs. Each check counts as one test. The last
 * line is `N passed, N failed`; the exit code is 0 only if nothing failed. A skipped test counts as failed: what was
 * not run proves nothing. So does a file that took more than its time budget.
 */
const CHECKS = {
  types: ["tsc", "--noEmit"],
  promises: ["node", "scripts/promises.ts"],
  layers: ["node", "scripts/layers.ts"],
  dead: ["knip"],
  lint: ["biome", "lint", "--error-on-warnings", "."],
  format: ["biome", "format", "."],
} as const satisfies Record<string, readonly [string, ...string[]]>;

const PROJECTS = ["unit", "contract", "integration", "e2e", "hostile"];

const Report = z.object({
  passed: z.number(),
  failed: z.number(),
  skipped: z.number(),
  files: z.array(z.object({ file: z.string(), ms: z.number() })),
});
const SLOWEST_SHOWN = 20;

type Count = { readonly passed: number; readonly failed: number };

function run(command: readonly string[], options: SpawnOptions): Promise<{ status: number; output: string }> {
  const [program = "", ...args] = command;
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
    const forward = (signal: NodeJS.Signals) => child.kill(signal);
    process.once("SIGINT", forward).once("SIGTERM", forward);
    let output = "";
    const collect = (chunk: Buffer) => {
      output += chunk.toString();
    };
    child.stdout?.on("data", collect);
    child.stderr?.on("data", collect);
    const end = (status: number, text: string) => {
      process.off("SIGINT", forward).off("SIGTERM", forward);
      resolve({ status, output: text });
    };
    child.once("error", (error) => end(127, `${output}${error.message}`));
    child.once("close", (status) => end(status ?? 1, output));
  });
}

/** Two at a time, for a machine with two cores; each prints its output when it ends. */
async function staticChecks(): Promise<Count> {
  const waiting = Object.entries(CHECKS);
  let failed = 0;
  const work = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [name, command] = next;
      const began = performance.now();
      const { status, output } = await run(command, {});
      console.log(`${status === 0 ? "pass" : "FAIL"} ${name} (${Math.round(performance.now() - began)} ms)`);
      if (status === 0) continue;
      failed += 1;
      console.log(output);
    }
  };
  await Promise.all([work(), work()]);
  return { passed: Object.keys(CHECKS).length - failed, failed };
}

async function tests(filter: readonly string[], soak: boolean): Promise<Count> {
  const factorBefore = machineFactor();
  const file = `.cache/test-report-${process.pid}.json`;
  mkdirSync(".cache", { recursive: true });
  const { status } = await run(["vitest", "run", "--allowOnly=false", ...filter], {
    stdio: "inherit",
    env: { ...process.env, BERTH_TEST_REPORT: file, ...(soak ? { BERTH_TEST_SOAK: "1" } : {}) },
  });
  const report = readReport(file);
  rmSync(file, { force: true });
  const times = report.files.toSorted((a, b) => b.ms - a.ms);
  showSlowest(times);
  if (report.skipped > 0) console.log(`${report.skipped} skipped tests count as failed`);
  const late = soak ? 0 : showLate(times, Math.max(factorBefore, machineFactor()));
  const failed = report.failed + report.skipped + late;
  // A file that cannot be loaded, an error outside of any test or an empty selection shows only in the exit code.
  return { passed: report.passed, failed: failed === 0 && status !== 0 ? 1 : failed };
}

/** A run that ended before its report counts as nothing proved; its exit code tells the rest. */
function readReport(file: string): TestReport {
  try {
    return Report.parse(JSON.parse(readFileSync(file, "utf8")));
  } catch {
    console.error(`the test run left no report in ${file}`);
    return { passed: 0, failed: 1, skipped: 0, files: [] };
  }
}

/** Where the time goes, several files at a time. */
function showSlowest(times: readonly FileTime[]): void {
  if (times.length < SLOWEST_SHOWN) return;
  console.log(`\nthe ${SLOWEST_SHOWN} slowest of ${times.length} files:`);
  for (const { file, ms } of times.slice(0, SLOWEST_SHOWN))
    console.log(`${(ms / 1000).toFixed(0).padStart(6)} s  ${file}`);
}

/** Names the files that took more than their budget on a machine that is `factor` times as slow as the reference. */
function showLate(times: readonly FileTime[], factor: number): number {
  const late = times.filter(({ file, ms }) => ms > factor * budgetMs(file));
  for (const { file, ms } of late) {
    const budget = `${((factor * budgetMs(file)) / 1000).toFixed(0)} s (machine factor ${factor.toFixed(1)})`;
    console.log(`FAIL ${file} took ${(ms / 1000).toFixed(0)} s; its budget is ${budget}`);
  }
  return late.length;
}

function filterOf(names: readonly string[]): readonly string[] {
  if (names.includes("soak"))
    return ["--project=unit", "--project=integration", "--project=e2e", "--project=hostile"];
  return names.map((name) => (PROJECTS.includes(name) ? `--project=${name}` : name));
}

const names = process.argv.slice(2);
const testNames = names.filter((name) => name !== "checks");
const counts: Count[] = [];
if (names.length === 0 || names.includes("checks")) counts.push(await staticChecks());
if (names.length === 0 || testNames.length > 0)
  counts.push(await tests(filterOf(testNames), names.includes("soak")));
const passed = counts.reduce((sum, count) => sum + count.passed, 0);
const failed = counts.reduce((sum, count) => sum + count.failed, 0);
process.exitCode = failed > 0 ? 1 : 0;
console.log(`${passed} passed, ${failed} failed`);
