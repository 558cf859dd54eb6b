import type {
  SqlDriverAdapter,
  SqlDriverAdapterFactory,
  SqlQuery,
  SqlQueryable,
} from "@prisma/driver-adapter-utils";
import { storableText } from "../../../util/storable.ts";

/** Wraps an adapter, so that no parameter contains U+0000, which PostgreSQL refuses. */
export function storableAdapter(factory: SqlDriverAdapterFactory): SqlDriverAdapterFactory {
  const { provider, adapterName } = factory;
  return { provider, adapterName, connect: async () => storableConnection(await factory.connect()) };
}

function storableConnection(adapter: SqlDriverAdapter): SqlDriverAdapter {
  const start = adapter.startTransaction.bind(adapter);
  return Object.assign(storableQueries(adapter), {
    startTransaction: async (...level: Parameters<typeof start>) => storableQueries(await start(...level)),
  });
}

function storableQueries<T extends SqlQueryable>(queryable: T): T {
  const queryRaw = queryable.queryRaw.bind(queryable);
  const executeRaw = queryable.executeRaw.bind(queryable);
  return Object.assign(queryable, {
    queryRaw: (query: SqlQuery) => queryRaw(storableQuery(query)),
    executeRaw: (query: SqlQuery) => executeRaw(storableQuery(query)),
  });
}

function storableQuery(query: SqlQuery): SqlQuery {
  return { ...query, args: query.args.map(storableArg) };
}

function storableArg(arg: unknown): unknown {
  if (typeof arg === "string") return storableText(arg);
  return Array.isArray(arg) ? arg.map(storableArg) : arg;
}
