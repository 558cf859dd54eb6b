import { field, map, needed, struct, text } from "../../http/dify/wire/shape.ts";
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
      dispatch: {
        path: "agent_strategy/invoke",
        data: struct({
          agent_strategy_provider: needed(text),
          agent_strategy: needed(text),
          agent_strategy_params: field(map),
        }),
        chunk: "agent_message",
      },
    },
  ),
];
