import { field, map, needed, struct, text } from "../shape.ts";
import type { Dispatches } from "./dispatch.ts";

export const AGENT_DISPATCH: Dispatches = {
  invoke_agent_strategy: {
    path: "agent_strategy/invoke",
    data: struct({
      agent_strategy_provider: needed(text),
      agent_strategy: needed(text),
      agent_strategy_params: field(map),
    }),
    chunk: "agent_message",
  },
};
