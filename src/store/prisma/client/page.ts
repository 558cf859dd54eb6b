import { invalidInput } from "../../../domain/fault.ts";
import type { Page, PageRequest } from "../../contracts/answers.ts";
import { Prisma } from "../generated/client.ts";

/** A place in a list: time of creation with all its microseconds (a JS Date has none), and the id. */
interface Place {
  readonly at: string;
  readonly id: string;
}

export interface PlacedRow {
  readonly id: string;
  readonly at: string;
}

/** The column that goes into a cursor. */
export const PLACE_AT = Prisma.sql`to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US') AS at`;

/** `WHERE` condition, order and limit that follow a cursor; `id` is the column that breaks ties. */
export function pageSql(request: PageRequest, id: Prisma.Sql, cast: Prisma.Sql): Prisma.Sql {
  const after = request.cursor === undefined ? undefined : parseCursor(request.cursor, cast.sql === "uuid");
  const condition =
    after === undefined
      ? Prisma.empty
      : Prisma.sql`AND (created_at, ${id}) < (${after.at}::timestamp AT TIME ZONE 'UTC', ${after.id}::${cast})`;
  return Prisma.sql`${condition} ORDER BY created_at DESC, ${id} DESC LIMIT ${request.limit + 1}`;
}

/** One row more than the limit was asked for: whether it came says whether there is a next page. */
export function toPage<R, T>(
  placed: readonly PlacedRow[],
  request: PageRequest,
  rows: ReadonlyMap<string, R>,
  map: (row: R) => T,
): Page<T> {
  const shown = placed.slice(0, request.limit);
  const last = shown.at(-1);
  return {
    items: shown.flatMap(({ id }) => {
      const row = rows.get(id);
      return row === undefined ? [] : [map(row)];
    }),
    nextCursor: placed.length > request.limit && last !== undefined ? formatCursor(last) : undefined,
  };
}

function formatCursor({ at, id }: Place): string {
  return Buffer.from(`${at} ${id}`).toString("base64url");
}

/** What no list has given, or another list has, must not reach the database: it would not read it. */
function parseCursor(cursor: string, isUuid: boolean): Place {
  const text = Buffer.from(cursor, "base64url").toString();
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}) ([\x20-\x7e]{1,290})$/.exec(text);
  const [, at, id] = match ?? [];
  if (at === undefined || id === undefined || !isTime(at) || (isUuid && !UUID.test(id)))
    throw invalidInput("cursor", cursor, "the next_cursor of an earlier answer of this list");
  return { at, id };
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

function isTime(at: string): boolean {
  const time = new Date(`${at}Z`);
  return (
    !Number.isNaN(time.getTime()) &&
    time.getUTCFullYear() > 0 &&
    time.toISOString().startsWith(at.slice(0, 19))
  );
}
