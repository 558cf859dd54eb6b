import type { Operation } from "../../../../domain/operations/operation.ts";
import { OPERATIONS } from "../../../../domain/operations/operations.ts";
import { DATASOURCE_DISPATCH } from "./datasource.ts";
import type { Dispatch, Dispatches } from "./dispatch.ts";
import { MODEL_DISPATCH } from "./model.ts";
import { AGENT_DISPATCH, DYNAMIC_PARAMETER_DISPATCH, OAUTH_DISPATCH } from "./other-types.ts";
import { TOOL_DISPATCH } from "./tool.ts";
import { TRIGGER_DISPATCH } from "./trigger.ts";

/** An operation that has a route. */
export type Dispatched = Operation & { readonly dispatch: Dispatch };

/** By the operation's type. The daemon has no route for types that are missing here. */
const DISPATCHES: Readonly<Record<string, Dispatches>> = {
  tool: TOOL_DISPATCH,
  agent_strategy: AGENT_DISPATCH,
  model: MODEL_DISPATCH,
  oauth: OAUTH_DISPATCH,
  dynamic_parameter: DYNAMIC_PARAMETER_DISPATCH,
  datasource: DATASOURCE_DISPATCH,
  trigger: TRIGGER_DISPATCH,
};

/** Every operation with a route on the Dify door. */
export const DISPATCHED: readonly Dispatched[] = OPERATIONS.flatMap((operation) => {
  const dispatch = DISPATCHES[operation.type]?.[operation.action];
  return dispatch === undefined ? [] : [{ ...operation, dispatch }];
});
