#!/usr/bin/env node
/** The command line: runs one command and exits with its code. */
import { runCommandLine } from "./cli/run.ts";

process.exit(await runCommandLine(process.argv.slice(2), process.env));
