/**
 * Every operation of a plugin. This table drives the invoke routes of `/v1` with their OpenAPI texts, and the checks
 * before a request is sent. The Dify door adds the route and the body of each operation.
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

/** An index from the pair to its row; each user makes its own, once. */
export function indexOperations(): (type: string, action: string) => Operation | undefined {
  const rows = new Map(OPERATIONS.map((row) => [`${row.type}/${row.action}`, row]));
  return (type, action) => rows.get(`${type}/${action}`);
}
