import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { cruise, type ICruiseResult } from "dependency-cruiser";
import extractConfig from "dependency-cruiser/config-utl/extract-depcruise-config";
import extractTsConfig from "dependency-cruiser/config-utl/extract-ts-config";

/**
 * Checks the layer rules on `src`. A rule whose pattern matches nothing always passes, and so does a cruiser that cannot
 * read the sources, so every rule must first find the violation that is planted for it here.
 */
const root = new URL("..", import.meta.url).pathname;

/** Rule -> the planted file and its import. */
const PLANTS: Readonly<Record<string, readonly [file: string, imports: string]>> = {
  "domain-looks-down": ["domain/p1.ts", "../http/dify/wire/shape.ts"],
  "domain-is-pure": ["domain/p2.ts", "node:fs"],
  "util-looks-down": ["util/p3.ts", "../domain/word.ts"],
  "observe-looks-down": ["observe/p4.ts", "../store/store.ts"],
  "engine-looks-down": ["engine/p5.ts", "../store/store.ts"],
  "transport-looks-down": ["transport/p6.ts", "../runtime/pool.ts"],
  "store-looks-down": ["store/p7.ts", "../queue/queue.ts"],
  "packages-looks-down": ["packages/p8.ts", "../store/store.ts"],
  "storage-looks-down": ["storage/p31.ts", "../packages/pack.ts"],
  "queue-looks-down": ["queue/bullmq/p9.ts", "../../installation/install.ts"],
  "sources-looks-down": ["sources/p28.ts", "../store/store.ts"],
  "runtime-looks-down": ["runtime/p10.ts", "../invocation/invoke.ts"],
  "egress-looks-down": ["egress/p30.ts", "../invocation/invoke.ts"],
  "platform-looks-down": ["platform/p37.ts", "../store/store.ts"],
  "invocation-looks-down": ["invocation/p11.ts", "../installation/install.ts"],
  "endpoint-looks-down": ["endpoint/p12.ts", "../installation/install.ts"],
  "installation-looks-down": ["installation/p13.ts", "../http/door.ts"],
  "debug-looks-down": ["debug/p38.ts", "../http/door.ts"],
  "doors-are-on-top": ["runtime/p14.ts", "../http/door.ts"],
  "http-is-only-a-door": ["http/p26.ts", "../app.ts"],
  "adapters-are-picked-in-app": ["runtime/p15.ts", "../engine/docker/client.ts"],
  "adapters-do-not-know-each-other": ["engine/docker/p16.ts", "../../transport/socket/link.ts"],
  "s3-packages-share-the-bucket": ["packages/s3/p32.ts", "../../storage/disk/files.ts"],
  "wire-is-difys": ["http/routes/p33.ts", "../dify/wire/shape.ts"],
  "supervision-is-on-top": ["runtime/launch/p34.ts", "../supervise/keeper.ts"],
  "requests-run-no-step": ["installation/requests/p35.ts", "../steps/install.ts"],
  "task-engine-knows-no-step": ["installation/task-engine/p36.ts", "../steps/install.ts"],
  "vendor-docker": ["engine/p17.ts", "dockerode"],
  "vendor-queue": ["queue/p18.ts", "ioredis"],
  "vendor-database": ["store/p19.ts", "@prisma/client"],
  "vendor-http": ["runtime/p20.ts", "hono"],
  "vendor-s3": ["packages/p27.ts", "@aws-sdk/client-s3"],
  "vendor-metrics": ["runtime/p29.ts", "prom-client"],
  "vendor-archive": ["installation/p21.ts", "yauzl"],
  "outbound-http-in-one-place": ["sources/p31.ts", "node:https"],
  "sources-do-not-know-tests": ["runtime/p22.ts", "../../test/helper.ts"],
  "no-cycles": ["runtime/p23.ts", "./p24.ts"],
  "imports-resolve": ["runtime/p25.ts", "./nowhere.ts"],
};

const INNOCENT = [
  "src/app.ts",
  "src/domain/word.ts",
  "src/util/leaf.ts",
  "src/store/store.ts",
  "src/queue/queue.ts",
  "src/runtime/pool.ts",
  "src/invocation/invoke.ts",
  "src/installation/install.ts",
  "src/http/door.ts",
  "src/engine/docker/client.ts",
  "src/http/dify/wire/shape.ts",
  "src/installation/steps/install.ts",
  "src/packages/pack.ts",
  "src/runtime/supervise/keeper.ts",
  "src/storage/disk/files.ts",
  "src/transport/socket/link.ts",
  "test/helper.ts",
];

async function violations(baseDir: string): Promise<ICruiseResult> {
  const config = await extractConfig(join(root, ".dependency-cruiser.cjs"));
  const tsConfig = extractTsConfig(join(root, "tsconfig.json"));
  const { options, ...ruleSet } = config;
  const { output } = await cruise(
    ["src"],
    { ...options, ruleSet, validate: true, baseDir },
    options?.enhancedResolveOptions ?? {},
    { tsConfig },
  );
  if (typeof output === "string") throw new Error("the cruiser answered with text instead of a result");
  return output;
}

/** The rules that did not find what was planted for them. */
async function blindRules(): Promise<readonly string[]> {
  mkdirSync(join(root, ".cache"), { recursive: true });
  // Below the project, so that vendors' packages resolve as they do from `src`.
  const planted = mkdtempSync(join(root, ".cache/layers-"));
  const write = (file: string, text: string) => {
    mkdirSync(dirname(join(planted, file)), { recursive: true });
    writeFileSync(join(planted, file), text);
  };
  try {
    for (const file of INNOCENT) write(file, "export type Word = string;\n");
    for (const [file, imports] of Object.values(PLANTS)) {
      write(`src/${file}`, `import type * as x from "${imports}";\nexport type X = typeof x;\n`);
    }
    write("src/runtime/p24.ts", 'import type { X } from "./p23.ts";\nexport type Y = X;\n');
    const found = (await violations(planted)).summary.violations;
    const config = await extractConfig(join(root, ".dependency-cruiser.cjs"));
    return (config.forbidden ?? [])
      .map((rule) => rule.name ?? "a rule without a name")
      .filter((name) => !found.some((v) => v.rule.name === name && v.from === `src/${PLANTS[name]?.[0]}`));
  } finally {
    rmSync(planted, { recursive: true });
  }
}

const blind = await blindRules();
for (const name of blind) console.error(`rule ${name} does not find the violation that is planted for it`);

const { summary } = await violations(root);
for (const { rule, from, to } of summary.violations) console.error(`${rule.name}: ${from} -> ${to}`);
if (summary.totalCruised === 0) console.error("no module was read");
console.log(`${summary.totalCruised} modules, ${summary.violations.length} violations`);
process.exitCode = blind.length + summary.violations.length > 0 || summary.totalCruised === 0 ? 1 : 0;
