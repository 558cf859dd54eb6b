/**
 * PGlite behind the driver's pool. PGlite's own adapter has one connection for all clients and sends each message of a query
 * by itself. The pool replaces a client as soon as one of its statements has failed; the next client then received the rest
 * of the failed query's answer as that of its own query, or an ended connection. Here each client has a connection of its
 * own, and a query is sent as a whole, up to the message that asks for its end.
 */
import type { PGlite } from "@electric-sql/pglite";
import { createPgConfig } from "@electric-sql/pglite/node-postgres";
import { Client, type ClientBase } from "pg";
import type { EmbeddedSession } from "./embedded-database.ts";

/** `Q`uery, `S`ync and flus`H`: the messages after which the client waits for an answer. */
const ASKING = new Set(Array.from("QSH", (letter) => letter.charCodeAt(0)));

/** A class of clients for a pool of one, for the pool's option `Client`. */
export function embeddedClient(database: EmbeddedSession): new () => ClientBase {
  return class EmbeddedClient extends Client {
    constructor() {
      super(embeddedSession(database));
    }
  };
}

function embeddedSession(database: EmbeddedSession) {
  // The adapter uses nothing else of it.
  const session = createPgConfig(sendingWhole(database) as PGlite);
  // The driver passes its result parsers as `types`; PGlite (0.5) reads these as parameter types and fails.
  const parse = session.connection.parse.bind(session.connection);
  session.connection.parse = (query: object) => parse({ ...query, types: undefined });
  return session;
}

function sendingWhole(database: EmbeddedSession): EmbeddedSession {
  let held: Uint8Array[] = [];
  return {
    waitReady: database.waitReady,
    execProtocolStream: async (message, options) => {
      held.push(message);
      if (!ASKING.has(message[0] ?? 0)) return [];
      const whole = Buffer.concat(held);
      held = [];
      return await database.execProtocolStream(whole, options);
    },
  };
}
