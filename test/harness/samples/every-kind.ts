/** The plugin that answers every operation, as a package of one kind: some kinds exclude each other. */
import { type PackedPlugin, packPlugin } from "../clients/client.ts";

const BLOCKS = {
  tool: "tools:\n    - provider/tool.yaml",
  model: "models:\n    - provider/model.yaml",
  agent: "agent_strategies:\n    - provider/agent.yaml",
  datasource: "datasources:\n    - provider/datasource.yaml",
  trigger: "triggers:\n    - provider/trigger.yaml",
} as const;

export type EveryKind = keyof typeof BLOCKS;

export const EVERY_KIND: readonly EveryKind[] = ["tool", "model", "agent", "datasource", "trigger"];

/** Its plugin id is `berth-tests/every-` and the kind. */
export function packEveryKind(kind: EveryKind): Promise<PackedPlugin> {
  return packPlugin("every-kind", {
    "manifest.yaml": (text) =>
      text.replace(BLOCKS.tool, BLOCKS[kind]).replace("name: every-kind", `name: every-${kind}`),
  });
}
