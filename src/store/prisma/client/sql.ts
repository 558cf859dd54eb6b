import type { SqlQuery } from "@prisma/driver-adapter-utils";

/** A statement without parameters, as driver adapters take it; several at once run as one. */
export function plainSql(sql: string): SqlQuery {
  return { sql, args: [], argTypes: [] };
}
