import { afterAll, beforeAll } from "vitest";
import { silentLog } from "../../../src/observe/log.ts";
import { openStore } from "../../../src/store/prisma/open.ts";
import type { Store } from "../../../src/store/store.ts";
import { Scope } from "../../../src/util/scope.ts";
import { placeEmbeddedDatabase } from "../servers/embedded-database.ts";
import { makeFolder } from "../servers/postgres.ts";
import { createDatabase } from "../servers/shared-postgres.ts";

type OpenOptions = Pick<Parameters<typeof openStore>[0], "tenantDefaults">;

/** One database of its own; opening it twice at once is possible on PostgreSQL only. */
export interface TestDatabase extends AsyncDisposable {
  readonly databaseUrl: string | undefined;
  readonly dataFolder: string;
  open(options?: OpenOptions): Promise<Store>;
}

/**
 * Both databases that Berth runs on: `describe.each(DATABASES)("... on $name", ({ create }) => ...)`. Those that are
 * `empty` have no table before they are opened.
 */
export const DATABASES = [
  { name: "pglite", create: () => create(false), empty: () => create(false, { isEmpty: true }) },
  { name: "postgres", create: () => create(true), empty: () => create(true, { isEmpty: true }) },
] as const;

/** For tests of what stands on the store: that both databases keep its contract is tested elsewhere. */
export const ON_POSTGRES = DATABASES.filter(({ name }) => name === "postgres");

/** One store on one empty database for all tests of the block that calls this. */
export function useStore(
  make: () => Promise<TestDatabase>,
  opened: (store: Store) => void,
  options: OpenOptions = {},
): void {
  const scope = new Scope();
  beforeAll(async () => {
    const database = scope.use(await make());
    opened(scope.use(await database.open(options)));
  });
  afterAll(() => scope.close());
}

async function create(
  server: boolean,
  { isEmpty = false }: { readonly isEmpty?: boolean } = {},
): Promise<TestDatabase> {
  const scope = new Scope();
  try {
    const dataFolder = scope.use(await makeFolder("data")).path;
    const databaseUrl = server ? await createDatabase({ isEmpty }) : undefined;
    if (!server) await placeEmbeddedDatabase(dataFolder, { isEmpty });
    return {
      databaseUrl,
      dataFolder,
      open: (options = {}) =>
        openStore({
          databaseUrl,
          dataFolder,
          log: silentLog,
          poolMax: 5,
          statementTimeoutMs: 30_000,
          ...options,
        }),
      [Symbol.asyncDispose]: () => scope.close(),
    };
  } catch (error) {
    await scope.close();
    throw error;
  }
}
