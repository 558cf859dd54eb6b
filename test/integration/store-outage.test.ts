import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { silentLog } from "../../src/observe/log.ts";
import { openStore } from "../../src/store/prisma/open.ts";
import type { Store } from "../../src/store/store.ts";
import { Scope } from "../../src/util/scope.ts";
import { makeFolder } from "../harness/servers/postgres.ts";
import { createDatabase } from "../harness/servers/shared-postgres.ts";

const SOCKET = ".s.PGSQL.5432";

/** Stands between the store and its server, so that a test can take the server away and give it back. */
class Relay {
  readonly #from: string;
  readonly #to: string;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  silent = false;

  constructor(from: string, to: string) {
    this.#from = from;
    this.#to = to;
  }

  async open(): Promise<void> {
    this.#server = createServer((socket) => {
      this.#note(socket);
      if (this.silent) return;
      const server = this.#note(connect(this.#to));
      socket.pipe(server).pipe(socket);
    });
    await new Promise<void>((resolve) => this.#server?.listen(this.#from, resolve));
  }

  async cut(): Promise<void> {
    const closed = new Promise((resolve) => this.#server?.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #note(socket: Socket): Socket {
    this.#sockets.add(socket.on("error", () => undefined).on("close", () => this.#sockets.delete(socket)));
    return socket;
  }
}

describe("a PostgreSQL that goes away", () => {
  const scope = new Scope();
  let relay: Relay;
  let store: Store;

  beforeAll(async () => {
    const url = new URL(await createDatabase());
    const folder = scope.use(await makeFolder("relay")).path;
    relay = new Relay(join(folder, SOCKET), join(url.searchParams.get("host") ?? "", SOCKET));
    await relay.open();
    scope.add(() => relay.cut());
    url.searchParams.set("host", folder);
    store = scope.use(
      await openStore({
        databaseUrl: url.href,
        dataFolder: folder,
        log: silentLog,
        poolMax: 2,
        statementTimeoutMs: 500,
      }),
    );
  });
  afterAll(() => scope.close());

  test("is reported as store_unavailable while it is gone, and serves again when it is back", async () => {
    await store.ping();
    await relay.cut();
    await expect(store.ping()).rejects.toMatchObject({ code: "store_unavailable" });
    await expect(store.keys.list()).rejects.toMatchObject({ code: "store_unavailable" });
    await relay.open();
    await store.ping();
    expect(await store.keys.list()).toEqual([]);
  });

  test("is reported as store_unavailable in time if it accepts connections but never answers", async () => {
    await relay.cut();
    relay.silent = true;
    await relay.open();
    await expect(store.ping()).rejects.toMatchObject({ code: "store_unavailable" });
    await expect(store.keys.list()).rejects.toMatchObject({ code: "store_unavailable" });
    await relay.cut();
    relay.silent = false;
    await relay.open();
    await store.ping();
  });
});
