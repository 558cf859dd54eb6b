/**
 * Who may import whom. `scripts/layers.ts` runs these rules and first plants one violation of each, so that a rule
 * that has stopped matching anything fails the check instead of passing for ever.
 */

const tests = "[.]test[.]ts$";

/** `folder` may import from `src` only itself and `allowed` (path patterns below `src/`). */
const only = (folder, allowed, comment) => ({
  name: `${folder}-looks-down`,
  comment,
  severity: "error",
  from: { path: `^src/${folder}/`, pathNot: tests },
  to: { path: "^src/", pathNot: `^src/(${[`${folder}/`, ...allowed].join("|")})` },
});

/** A vendor's package is known to one folder, so that replacing it changes one folder. */
const vendor = (name, packages, folder) => ({
  name: `vendor-${name}`,
  comment: `${packages} belongs to ${folder}; everybody else talks to the contract.`,
  severity: "error",
  from: { path: "^src/", pathNot: `^src/${folder}` },
  to: { path: `(^|node_modules/)(${packages})(/|$)` },
});

const words = ["domain/", "util/", "observe/"];
const adapters = [
  "engine/docker",
  "transport/socket",
  "store/prisma",
  "queue/bullmq",
  "queue/local",
  "packages/disk",
  "packages/s3",
  "storage/disk",
  "storage/s3",
  "invocation/host-calls/local",
  "invocation/host-calls/platform",
].join("|");
const contracts = [
  "engine/[^/]+[.]ts",
  "transport/[^/]+[.]ts",
  "store/[^/]+[.]ts",
  "store/contracts/",
  "storage/[^/]+[.]ts",
  "queue/[^/]+[.]ts",
  "packages/[^/]+[.]ts",
  "packages/archive/",
  "packages/bundle/",
  "packages/declaration/",
  "packages/signature/",
  "sources/sources[.]ts",
];

module.exports = {
  forbidden: [
    only(
      "domain",
      [],
      "domain is rules alone. What emulates the daemon's structs stands behind the HTTP door that speaks to its clients.",
    ),
    {
      name: "domain-is-pure",
      comment: "domain does no I/O and knows no package but zod.",
      severity: "error",
      from: { path: "^src/domain/", pathNot: tests },
      to: { pathNot: "^src/|(^|node_modules/)zod(/|$)" },
    },
    only("util", [], "util is a leaf without domain words."),
    only("observe", ["domain/", "util/"], "observe knows util and domain."),
    only("engine", words, "A contract and its adapters know domain, util and observe."),
    only("transport", words, "A contract and its adapters know domain, util and observe."),
    only("store", words, "A contract and its adapters know domain, util and observe."),
    only(
      "storage",
      [...words, "store/[^/]+[.]ts", "store/contracts/"],
      "What plugins keep: files, and the Store's count of their bytes.",
    ),
    only("packages", [...words, "storage/"], "Packages lie in the storage, beside what plugins keep."),
    only("sources", words, "Fetching an archive knows domain, util and observe."),
    only("queue", words, "A queue hands jobs to handlers; it does not know what they do."),
    only("runtime", [...words, ...contracts], "Supervision stands on the contracts."),
    only("egress", [...words, ...contracts, "runtime/"], "The network of plugins stands on supervision."),
    only("platform", words, "The client of the platform's inner API knows domain, util and observe."),
    only(
      "invocation",
      [...words, ...contracts, "runtime/", "platform/"],
      "Invocation stands on supervision.",
    ),
    only(
      "endpoint",
      [...words, ...contracts, "runtime/", "invocation/", "platform/"],
      "Use cases stand on supervision and invocation.",
    ),
    only(
      "installation",
      [...words, ...contracts, "runtime/", "invocation/"],
      "Use cases stand on supervision and invocation.",
    ),
    only(
      "debug",
      [...words, ...contracts, "runtime/", "invocation/", "installation/"],
      "The debug port stands on supervision and installations, beside the HTTP doors.",
    ),
    {
      name: "doors-are-on-top",
      comment: "Nothing below the composition root knows the doors, the command line or the root itself.",
      severity: "error",
      from: { path: "^src/[^/]+/", pathNot: `^src/(http|cli|app)/|${tests}` },
      to: { path: "^src/(http/|cli/|app/|[^/]+[.]ts$)" },
    },
    {
      name: "http-is-only-a-door",
      comment:
        "The HTTP doors get what they need handed in; they know neither the root nor the command line.",
      severity: "error",
      from: { path: "^src/http/", pathNot: tests },
      to: { path: "^src/(cli/|app/|[^/]+[.]ts$)" },
    },
    {
      name: "adapters-are-picked-in-app",
      comment:
        "An implementation folder is imported by the composition root, by itself and by tests; all others know the contract.",
      severity: "error",
      from: { path: "^src/", pathNot: `^src/(app|main)[.]ts$|^src/app/|^src/(${adapters})/|${tests}` },
      to: { path: `^src/(${adapters})/` },
    },
    {
      name: "adapters-do-not-know-each-other",
      comment: "Any adapter must be replaceable without touching another.",
      severity: "error",
      from: { path: `^src/(${adapters})/`, pathNot: `^src/packages/s3/|${tests}` },
      to: { path: `^src/(${adapters})/`, pathNot: "^src/$1/" },
    },
    {
      name: "s3-packages-share-the-bucket",
      comment: "Packages and what plugins keep lie in one bucket: its client belongs to storage/s3.",
      severity: "error",
      from: { path: "^src/packages/s3/", pathNot: tests },
      to: { path: `^src/(${adapters})/`, pathNot: "^src/(packages|storage)/s3/" },
    },
    {
      name: "wire-is-difys",
      comment:
        "What emulates the daemon's structs serves the door for Dify; bodies/ reads its calls in a thread.",
      severity: "error",
      from: { path: "^src/http/", pathNot: `^src/http/(dify|bodies)/|${tests}` },
      to: { path: "^src/http/dify/wire/" },
    },
    {
      name: "supervision-is-on-top",
      comment: "Supervision launches, reaches, watches and logs Runtimes; none of these knows who asks.",
      severity: "error",
      from: { path: "^src/runtime/(launch|reach|health|logs|doctor)/", pathNot: tests },
      to: { path: "^src/runtime/supervise/" },
    },
    {
      name: "requests-run-no-step",
      comment: "A request is accepted into the Store and the queue; the steps of its task run on a worker.",
      severity: "error",
      from: { path: "^src/installation/(requests|packages|trust|images|dependencies)/", pathNot: tests },
      to: { path: "^src/installation/steps/" },
    },
    {
      name: "task-engine-knows-no-step",
      comment:
        "The task engine runs the table of steps that the composition root hands it; it imports none of them.",
      severity: "error",
      from: { path: "^src/installation/task-engine/", pathNot: tests },
      to: { path: "^src/installation/", pathNot: "^src/installation/(task-engine/|contracts[.]ts$)" },
    },
    vendor("docker", "dockerode|docker-modem|@types/dockerode", "engine/docker/"),
    vendor("queue", "bullmq|ioredis", "queue/bullmq/"),
    vendor(
      "database",
      "@prisma|prisma|pg|@types/pg|@electric-sql/pglite|pglite-prisma-adapter",
      "store/prisma/",
    ),
    vendor("http", "hono|@hono|@fastify/busboy", "http/"),
    vendor("s3", "@aws-sdk|@smithy", "storage/s3/"),
    vendor("metrics", "prom-client", "observe/metrics/"),
    vendor("archive", "yauzl|yazl|@types/yauzl|@types/yazl", "packages/"),
    {
      name: "outbound-http-in-one-place",
      comment:
        "Requests to other hosts go through util/outbound-request.ts; the S3 client has its vendor's agent.",
      severity: "error",
      from: { path: "^src/", pathNot: `^src/util/outbound-request[.]ts$|^src/storage/s3/|${tests}` },
      to: { path: "^(node:)?https$" },
    },
    {
      name: "sources-do-not-know-tests",
      comment: "What ships does not need what proves it.",
      severity: "error",
      from: { path: "^src/", pathNot: tests },
      to: { path: `^(test|bench|scripts)/|${tests}|node_modules/vitest/` },
    },
    {
      name: "no-cycles",
      comment: "Also cycles of types alone: they keep files from being read one at a time.",
      severity: "error",
      from: { path: "^src/", pathNot: "/generated/" },
      to: { circular: true },
    },
    {
      name: "imports-resolve",
      comment: "An import that leads nowhere escapes every other rule.",
      severity: "error",
      from: { path: "^src/" },
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules|/generated/" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "node", "types", "default"],
    },
  },
};
