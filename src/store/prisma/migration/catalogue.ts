import type { SqlQueryable } from "@prisma/driver-adapter-utils";
import { Fault } from "../../../domain/fault.ts";
import { plainSql } from "../client/database.ts";

/** Facts of the tables of one schema, as one line per thing, keyed so that two catalogues can be compared. */
export interface Catalogue {
  /** `table.column` → type, nullability and default. */
  readonly columns: ReadonlyMap<string, Column>;
  /** Name of a constraint or index → its table, columns and definition without the schema's name. */
  readonly rules: ReadonlyMap<string, Rule>;
}
interface Column {
  readonly table: string;
  readonly type: string;
  readonly nullable: boolean;
  readonly default: string | null;
}
interface Rule {
  readonly table: string;
  readonly definition: string;
}

const COLUMNS = `
  SELECT c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull,
         pg_get_expr(d.adbin, d.adrelid)
  FROM pg_attribute a
  JOIN pg_class c ON c.oid = a.attrelid AND c.relkind = 'r'
  JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = current_schema()
  LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
  WHERE a.attnum > 0 AND NOT a.attisdropped
  ORDER BY c.relname, a.attnum`;
const RULES = `
  SELECT c.relname::text, i.relname::text,
         CASE WHEN k.conname IS NULL THEN '' ELSE 'CONSTRAINT ' END || CASE WHEN x.indisprimary THEN 'PRIMARY ' ELSE '' END
         || regexp_replace(pg_get_indexdef(x.indexrelid), ' ON [^ ]+ USING', ' USING')
  FROM pg_index x
  JOIN pg_class i ON i.oid = x.indexrelid
  JOIN pg_class c ON c.oid = x.indrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = current_schema()
  LEFT JOIN pg_constraint k ON k.conindid = x.indexrelid AND k.contype IN ('p', 'u')
  ORDER BY c.relname, i.relname`;

/** Reads the tables of the connection's current schema. */
export async function readCatalogue(db: SqlQueryable): Promise<Catalogue> {
  const columns = (await db.queryRaw(plainSql(COLUMNS))).rows.map(
    ([table, name, type, nullable, value]): [string, Column] => [
      `${table}.${name}`,
      {
        table: String(table),
        type: String(type),
        nullable: nullable === true,
        default: value === null ? null : String(value),
      },
    ],
  );
  const rules = (await db.queryRaw(plainSql(RULES))).rows.map(([table, name, definition]): [string, Rule] => [
    String(name),
    { table: String(table), definition: String(definition) },
  ]);
  return { columns: new Map(columns), rules: new Map(rules) };
}

/**
 * Throws `store_mismatch`, naming table and column, unless `actual` can be used as `expected`. Older releases of the
 * daemon left a default on `id` and columns that nobody writes: those do no harm and pass.
 */
export function assertUsableAs(expected: Catalogue, actual: Catalogue): void {
  for (const [name, want] of expected.columns) {
    const have = actual.columns.get(name);
    if (have === undefined) throw mismatch(name, "missing", describe(want));
    if (have.type !== want.type || have.nullable !== want.nullable)
      throw mismatch(name, describe(have), describe(want));
  }
  const tables = new Set([...expected.columns.values()].map(({ table }) => table));
  for (const [name, have] of actual.columns) {
    const ignorable = have.nullable || have.default !== null;
    if (tables.has(have.table) && !expected.columns.has(name) && !ignorable)
      throw mismatch(name, describe(have), "no such column, or a nullable one");
  }
  for (const [name, want] of expected.rules) {
    const have = actual.rules.get(name);
    if (have?.definition !== want.definition)
      throw mismatch(`${want.table} (${name})`, have?.definition ?? "missing", want.definition);
  }
}

function describe({ type, nullable }: Column): string {
  return nullable ? type : `${type} NOT NULL`;
}

function mismatch(field: string, value: string, accepted: string): Fault {
  return new Fault(
    "store_mismatch",
    `The database's ${field} is ${value}; accepted: ${accepted}. A daemon that Berth can follow makes it so: the migration of a current one may help.`,
    { details: { field, value, accepted } },
  );
}
