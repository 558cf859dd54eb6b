/** The package that tests of the HTTP server call: `berth/echo`, with two tools and a model provider. */
import type { StoredPackage } from "../../../src/store/contracts/packages.ts";

const CHECKSUM = "ab".repeat(32);
export const IDENTIFIER = `berth/echo:0.0.1@${CHECKSUM}`;

export function aStoredPackage(changes: Partial<StoredPackage> = {}): StoredPackage {
  return {
    identifier: IDENTIFIER,
    pluginId: "berth/echo",
    author: "berth",
    name: "echo",
    version: "0.0.1",
    checksum: CHECKSUM,
    bytes: 1234,
    dialect: "real",
    declaration: {
      author: "berth",
      name: "echo",
      tool: {
        identity: { name: "echo" },
        tools: [{ identity: { name: "say" } }, { identity: { name: "sing" } }],
      },
      model: { provider: "echo", models: [] },
      resource: {
        memory: 1,
        permission: {
          tool: { enabled: true },
          model: { enabled: true, llm: true },
          storage: { enabled: true, size: 1024 },
        },
      },
    },
    providers: [
      { kind: "tool", name: "echo" },
      { kind: "model", name: "echo" },
    ],
    runner: { language: "python", version: "3.12", entrypoint: "main", arch: ["amd64"] },
    limitsAsked: { memoryIsHard: false },
    dependencies: [],
    warnings: ["a warning"],
    createdAt: new Date(0),
    ...changes,
  };
}
