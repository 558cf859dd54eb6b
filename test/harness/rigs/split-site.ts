/** A site whose apis and workers are two processes each, with one PostgreSQL and one Redis, for a test to stop and kill. */
import type { ContainerState } from "../../../src/domain/container.ts";
import { Scope } from "../../../src/util/scope.ts";
import { type AcceptedInstall, eventually } from "../clients/client.ts";
import { freePort } from "../servers/free-port.ts";
import { makeRedisServer } from "../servers/redis-server.ts";
import type { BerthProcess } from "./berth.ts";
import { openSite, type Site } from "./site.ts";

export const LEASE_MS = 4_000;
/** How often a site's processes look at the database. */
export const POLL_MS = 300;

export type Name = "api-1" | "api-2" | "worker-1" | "worker-2";
export const NAMES: readonly Name[] = ["api-1", "api-2", "worker-1", "worker-2"];

export interface Readiness {
  readonly status: string;
  readonly parts: Readonly<Record<string, { readonly ok: boolean }>>;
  readonly processes: { readonly apis: number; readonly workers: number };
}

/** Starts all at once on an empty database: one of them makes the tables, the instance id, the key and the network. */
export async function openSplitSite(env: Readonly<Record<string, string>>): Promise<SplitSite> {
  const scope = new Scope();
  try {
    const redis = scope.use(await makeRedisServer());
    await redis.start();
    const site = scope.use(
      await openSite({
        database: "postgres",
        env: {
          REDIS_URL: `redis://127.0.0.1:${redis.port}`,
          BERTH_LEASE_SECONDS: String(LEASE_MS / 1000),
          ...env,
        },
      }),
    );
    const ports = new Map(await Promise.all(NAMES.map(async (name) => [name, await freePort()] as const)));
    const split = new SplitSite({ site, ports, scope });
    for (const one of await Promise.allSettled(NAMES.map((name) => split.start(name))))
      if (one.status === "rejected") throw one.reason;
    return split;
  } catch (error) {
    await scope.close();
    throw error;
  }
}

interface Parts {
  readonly site: Site;
  readonly ports: ReadonlyMap<Name, number>;
  readonly scope: Scope;
}

export class SplitSite implements AsyncDisposable {
  readonly site: Site;
  readonly #ports: ReadonlyMap<Name, number>;
  readonly #scope: Scope;
  readonly #processes = new Map<Name, BerthProcess>();

  constructor({ site, ports, scope }: Parts) {
    this.site = site;
    this.#ports = ports;
    this.#scope = scope;
  }

  /** Each has one port, however often it is started. */
  async start(name: Name, changes: Readonly<Record<string, string>> = {}): Promise<BerthProcess> {
    const role = name.startsWith("api") ? "api" : "worker";
    const made = await this.site.start({ BERTH_PORT: String(this.#ports.get(name)), ...changes }, role);
    this.#processes.set(name, made);
    return made;
  }

  /** Its last process, which may have ended. */
  get(name: Name): BerthProcess {
    const found = this.#processes.get(name);
    if (found === undefined) throw new Error(`${name} has not been started`);
    return found;
  }

  async stop(...names: readonly Name[]): Promise<void> {
    await Promise.all(names.map((name) => this.get(name).kill("SIGTERM")));
  }

  /** What it says once all its parts answer, which on a machine with much else to do may take its time. */
  ready(name: Name): Promise<Readiness> {
    return eventually(() =>
      this.get(name)
        .json<Readiness>(200, "GET", "/health/ready")
        .catch(() => undefined),
    );
  }

  /** Resolves when each api that is up reports so many live processes. */
  async counted(apis: number, workers: number): Promise<void> {
    for (const name of ["api-1", "api-2"] as const) {
      if (!(await isUp(this.get(name)))) continue;
      await eventually(async () => {
        const { processes: seen } = await this.ready(name);
        return seen.apis === apis && seen.workers === workers ? true : undefined;
      });
    }
  }

  /** The worker that holds the lease of the installation's pool; throws where none does. */
  async keeperOf({ installationId }: Pick<AcceptedInstall, "installationId">): Promise<Name> {
    const rows = await this.site.rows(
      `SELECT p.pid FROM berth_pools JOIN berth_processes p ON p.id = holder
       WHERE lease_expires_at > clock_timestamp()
         AND key = (SELECT pool_key FROM berth_installations WHERE id = '${installationId}')`,
    );
    return this.#nameOf(rows[0]?.["pid"], "nobody holds the lease");
  }

  /** The worker that runs the task. */
  async builderOf({ taskId }: Pick<AcceptedInstall, "taskId">): Promise<Name> {
    const rows = await this.site.rows(
      `SELECT p.pid FROM berth_tasks t JOIN berth_processes p ON p.id = split_part(t.holder, '/', 1)
       WHERE t.id = '${taskId}'`,
    );
    return this.#nameOf(rows[0]?.["pid"], "nobody holds the task");
  }

  /** The tenant's one running container; undefined where there is none. */
  async containerOf(tenant: string): Promise<ContainerState | undefined> {
    const [found, ...more] = (await this.site.containers()).filter(
      ({ labels, phase }) => labels["berth.tenant"] === tenant && phase === "running",
    );
    if (more.length > 0) throw new Error("there is more than one");
    return found;
  }

  /** Ids of the runtimes that are ready to serve the installation. */
  async liveRuntimes({
    installationId,
  }: Pick<AcceptedInstall, "installationId">): Promise<readonly unknown[]> {
    const rows = await this.site.rows(
      `SELECT r.id FROM berth_runtimes r JOIN berth_installations i ON i.pool_key = r.pool_key
       WHERE r.state = 'ready' AND i.id = '${installationId}'`,
    );
    return rows.map(({ id }) => id);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope.close();
  }

  #nameOf(pid: unknown, otherwise: string): Name {
    const found = [...this.#processes].find(([, process]) => process.pid === pid);
    if (found === undefined) throw new Error(otherwise);
    return found[0];
  }
}

const isUp = (berth: BerthProcess) =>
  berth.request("GET", "/health").then(
    ({ ok }) => ok,
    () => false,
  );
