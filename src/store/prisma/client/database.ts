import { randomBytes } from "node:crypto";
import type { SqlQuery } from "@prisma/driver-adapter-utils";
import { Fault, type FaultJson, isFault } from "../../../domain/fault.ts";
import type { Limits } from "../../../domain/limits.ts";
import { NO_QUOTAS, type TenantQuotas } from "../../../domain/tenant-quotas.ts";
import { storableJson } from "../../../util/storable.ts";
import { Prisma, type PrismaClient } from "../generated/client.ts";
import type { Connection } from "./connection.ts";
import { type Marks, Watch } from "./watch.ts";

export type Tx = Prisma.TransactionClient;

/** The only access to the database: its failures become Faults. */
export class Database {
  readonly #client: PrismaClient;
  readonly #connection: Pick<Connection, "isExhausted" | "acquireTimeoutMs">;
  readonly #waitMs: number;
  /** Quotas of tenants without their own. */
  readonly tenantDefaults: TenantQuotas;
  /** What polls read. */
  readonly watch: Watch;

  constructor(parts: {
    client: PrismaClient;
    connection: Pick<Connection, "isExhausted" | "acquireTimeoutMs">;
    waitMs: number;
    tenantDefaults?: TenantQuotas | undefined;
    readMarks: (client: PrismaClient) => Promise<Marks>;
  }) {
    this.#client = parts.client;
    this.#connection = parts.connection;
    this.#waitMs = parts.waitMs;
    this.tenantDefaults = parts.tenantDefaults ?? NO_QUOTAS;
    this.watch = new Watch(() => this.run(parts.readMarks));
  }

  /** For single statements, and for reads that need not be consistent with each other. */
  async run<T>(work: (client: PrismaClient) => Promise<T>): Promise<T> {
    try {
      return await work(this.#client);
    } catch (error) {
      throw this.#toFault(error);
    }
  }

  /**
   * Runs one transaction. `work` must use nothing but `tx`: on the embedded database everything else waits for its end. It
   * runs again where the server broke a deadlock by aborting this transaction, which has had no effect then.
   */
  async transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.#client.$transaction(work, { maxWait: this.#waitMs, timeout: this.#waitMs });
      } catch (error) {
        if (tries < TRIES_MAX && codesOf(error).some((code) => GIVEN_UP.test(code))) continue;
        throw this.#toFault(error);
      }
    }
  }

  #toFault(error: unknown): unknown {
    const fault = toStoreFault(error);
    // Neither the server nor the network has failed: the time passed in the pool's own queue.
    const isOurs = isFault(fault, "store_unavailable") && !codesOf(error).some((code) => REFUSED.test(code));
    if (!isOurs || !this.#connection.isExhausted()) return fault;
    const seconds = this.#connection.acquireTimeoutMs / 1000;
    return new Fault(
      "store_unavailable",
      `All connections to the database are in use (BERTH_DATABASE_POOL), and none became free within ${seconds} s.`,
      { cause: error },
    );
  }
}

const TRIES_MAX = 5;
/** The server's codes, and Prisma's, for a transaction that was aborted in favour of another. */
const GIVEN_UP = /^(40001|40P01|P2034)$/;

const DISK_FULL = "53100";

/** Codes of the server and of the network. */
const REFUSED = /^(08...|57...|53...|E[A-Z]+|P1.*)$/;

/** Prisma's and the driver's codes for "no answer": connection, pool and transaction timeouts. */
const UNAVAILABLE = /^(P1001|P1002|P1008|P1017|P2024|P2028|P2034|P2037|08...|40...|57...|53...|E[A-Z]+)$/;

/** Violations of unique constraints are passed on, for the callers that expect them. */
function toStoreFault(error: unknown): unknown {
  if (isFault(error) || !(error instanceof Error)) return error;
  const codes = codesOf(error);
  const unavailable =
    error instanceof Prisma.PrismaClientInitializationError ||
    codes.some((code) => UNAVAILABLE.test(code)) ||
    (codes.length === 0 && isFromDriver(error));
  if (!unavailable) return error;
  if (codes.includes(DISK_FULL))
    return new Fault("disk_full", "The disk of the database is full.", { cause: error });
  return new Fault("store_unavailable", "The database does not answer.", { cause: error });
}

/** The driver gives codes to errors of the server, but none to lost and timed-out connections; Prisma marks these. */
function isFromDriver(error: Error): boolean {
  return Object.getPrototypeOf(error) === Error.prototype && "clientVersion" in error;
}

function codesOf(error: unknown): string[] {
  const codes: string[] = [];
  for (let at: unknown = error, depth = 0; at instanceof Object && depth < 5; depth += 1) {
    const { code, originalCode, kind } = at as { code?: unknown; originalCode?: unknown; kind?: unknown };
    for (const value of [code, originalCode]) if (typeof value === "string") codes.push(value);
    if (kind === "DatabaseNotReachable" || kind === "ConnectionClosed" || kind === "SocketTimeout")
      codes.push("P1001");
    const { cause, meta, driverAdapterError } = at as {
      cause?: unknown;
      meta?: unknown;
      driverAdapterError?: unknown;
    };
    at = cause ?? driverAdapterError ?? meta;
  }
  return codes;
}

export function isUniqueViolation(error: unknown): boolean {
  return error instanceof Prisma.PrismaClientKnownRequestError && error.code === "P2002";
}

/** A value for a JSON column; undefined becomes the database's NULL. */
export function json(value: unknown): Prisma.InputJsonValue | typeof Prisma.DbNull {
  return value === undefined ? Prisma.DbNull : (JSON.parse(storableJson(value)) as Prisma.InputJsonValue);
}

/** A value for a JSON column that is never NULL. */
export function jsonValue(value: object): Prisma.InputJsonValue {
  return JSON.parse(storableJson(value)) as Prisma.InputJsonValue;
}

/** A JSON value for a raw statement; undefined becomes SQL's NULL. */
export function jsonText(value: unknown): string | null {
  return value === undefined ? null : storableJson(value);
}

/** A statement without parameters for driver adapters; several statements in one text run as one. */
export function plainSql(sql: string): SqlQuery {
  return { sql, args: [], argTypes: [] };
}

/** A UUID of version 7, as in the daemon's rows: rows sort by the millisecond of their creation. */
export function uuid7(now: number = Date.now()): string {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(now, 0, 6);
  bytes[6] = 0x70 | (bytes.readUInt8(6) & 0x0f);
  bytes[8] = 0x80 | (bytes.readUInt8(8) & 0x3f);
  const hex = bytes.toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

/*
 * JSON columns of `berth_*` tables are written by this folder alone, so their shape is taken from there with `as`.
 */

/** Rows of earlier releases have no number of runtimes: it was one. */
export function readLimits(kept: unknown): Limits {
  return { replicasMin: 1, replicasMax: 1, ...(kept as Omit<Limits, "replicasMin" | "replicasMax">) };
}

export function toCause(value: unknown): FaultJson | undefined {
  return value === null ? undefined : (value as FaultJson);
}
