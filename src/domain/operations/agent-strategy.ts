import { bag, name, type Operation, operation } from "./operation.ts";

export const AGENT_OPERATIONS: readonly Operation[] = [
  operation(
    {
      ...{ type: "agent_strategy", action: "invoke_agent_strategy", kinds: ["agent_strategy"] },
      summary: "Runs an agent strategy.",
    },
    {
      fields: { agent_strategy_provider: name, agent_strategy: name, agent_strategy_params: bag },
      providerField: "agent_strategy_provider",
      item: { field: "agent_strategy", code: "not_found" },
    },
  ),
];
