/**
 * Everything that can be asked of a plugin. The table drives the invoke routes of `/v1` and their document, and the
 * checks before a request is sent. The HTTP door for Dify adds the route and the body of each operation.
 */

import { DATASOURCE_OPERATIONS } from "./datasource.ts";
import { MODEL_OPERATIONS } from "./model.ts";
import type { Operation } from "./operation.ts";
import {
  AGENT_OPERATIONS,
  DYNAMIC_PARAMETER_OPERATIONS,
  ENDPOINT_OPERATIONS,
  OAUTH_OPERATIONS,
} from "./other-types.ts";
import { TOOL_OPERATIONS } from "./tool.ts";
import { TRIGGER_OPERATIONS } from "./trigger.ts";

export const OPERATIONS: readonly Operation[] = [
  ...TOOL_OPERATIONS,
  ...AGENT_OPERATIONS,
  ...MODEL_OPERATIONS,
  ...ENDPOINT_OPERATIONS,
  ...OAUTH_OPERATIONS,
  ...DYNAMIC_PARAMETER_OPERATIONS,
  ...DATASOURCE_OPERATIONS,
  ...TRIGGER_OPERATIONS,
];

/** Finds a row by pair; made once by whoever needs it. */
export function indexOperations(): (type: string, action: string) => Operation | undefined {
  const rows = new Map(OPERATIONS.map((row) => [`${row.type}/${row.action}`, row]));
  return (type, action) => rows.get(`${type}/${action}`);
}
