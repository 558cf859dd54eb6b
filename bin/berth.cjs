#!/usr/bin/env node
// Starts Berth under a Node that can run it: this one, or the pinned one that npm installs beside it. Every Node from
// 14.18 on can read this file, and say what is missing.
"use strict";
const { spawn } = require("node:child_process");
const { existsSync, realpathSync } = require("node:fs");
const { dirname, join } = require("node:path");
const { pathToFileURL } = require("node:url");

const NEEDED = [24, 5];
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"];

const root = dirname(dirname(realpathSync(__filename)));
// A checkout has its sources; an installed package has what scripts/build.ts makes of them.
const main = join(root, existsSync(join(root, "src")) ? "src/main.ts" : "dist/main.js");
const node = isNew(process.versions.node) ? undefined : pinnedNode();

if (isNew(process.versions.node)) {
  // It ends the process itself, whatever happens.
  void import(pathToFileURL(main).href);
} else if (node !== undefined) {
  runUnder(node);
} else {
  const found = `${process.version} (${process.execPath})`;
  console.error(`berth needs Node.js 24.5 or newer, and this is ${found}: install a newer one.`);
  process.exitCode = 1;
}

function isNew(version) {
  const [major, minor] = version.split(".").map(Number);
  return major > NEEDED[0] || (major === NEEDED[0] && minor >= NEEDED[1]);
}

/** The Node that npm installs as an optional package for this kind of machine. */
function pinnedNode() {
  try {
    return require.resolve(`node-${process.platform}-${process.arch}/bin/node`, { paths: [root] });
  } catch {
    return undefined;
  }
}

/** Runs it in place of this process: with its input and output, the signals for it, and its exit code. */
function runUnder(program) {
  const child = spawn(program, [main, ...process.argv.slice(2)], { stdio: "inherit" });
  for (const name of SIGNALS) {
    process.on(name, () => {
      // A terminal sends Ctrl-C to both, and a second one would make the child stop at once.
      if (name !== "SIGINT" || !process.stdin.isTTY) child.kill(name);
    });
  }
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code);
    for (const name of SIGNALS) process.removeAllListeners(name);
    process.kill(process.pid, signal);
  });
}
