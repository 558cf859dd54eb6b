import type { SqlQuery } from "@prisma/driver-adapter-utils";

/** A statement without parameters for driver adapters; several statements in one text run as one. */
export function plainSql(sql: string): SqlQuery {
  return { sql, args: [], argTypes: [] };
}
