/**
 * Runs what `docker-compose.yml` says, by the file's own values, on the machine's engine: the part of Compose that the
 * file uses, for machines that have none. Everything carries one random label and is gone when the project is disposed.
 */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { z } from "zod";
import { DockerClient } from "../../../src/engine/docker/client.ts";
import { DOCKER_ENGINE_SETTINGS } from "../../../src/engine/docker/docker-engine.ts";
import { Scope } from "../../../src/util/scope.ts";
import { eventually } from "../clients/client.ts";
import { freePort } from "../servers/free-port.ts";
import { type BerthDoor, HttpDoor } from "./berth.ts";
import { type ComposeFile, type ComposeService, readComposeFile, readEnvFile } from "./compose-file.ts";
import { within } from "./test-engine.ts";

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, "../../..");
const SECOND_NS = 1_000_000_000;

export interface ComposeImages {
  readonly berth: string;
  readonly postgres: string;
  readonly redis: string;
}

const Inspected = z.object({
  Id: z.string(),
  State: z.object({
    Status: z.string(),
    Pid: z.number(),
    ExitCode: z.number(),
    StartedAt: z.string(),
    Health: z.object({ Status: z.string() }).optional(),
  }),
  Config: z.object({ Env: z.array(z.string()), User: z.string() }),
  HostConfig: z.object({ GroupAdd: z.array(z.string()).nullish(), CpuShares: z.number() }),
  Mounts: z.array(z.object({ Source: z.string(), Destination: z.string() })),
});
export type InspectedContainer = z.infer<typeof Inspected>;

interface Parts {
  readonly id: string;
  readonly folder: string;
  readonly dataFolder: string;
  readonly file: ComposeFile;
  readonly env: Readonly<Record<string, string>>;
  readonly client: DockerClient;
  readonly scope: Scope;
}

/** Sets a host up as the documentation says, in folders of its own; `settings` go into `berth.env`. */
export async function openComposeProject(options: {
  images: ComposeImages;
  settings: Readonly<Record<string, string>>;
}): Promise<ComposeProject> {
  const scope = new Scope();
  const id = randomBytes(4).toString("hex");
  try {
    const folder = await mkdtemp(join(tmpdir(), "berth-compose-"));
    scope.add(() => rm(folder, { recursive: true, force: true }));
    const dataFolder = join(folder, "data");
    await mkdir(join(folder, "compose"));
    await copyFile(join(ROOT, "docker-compose.yml"), join(folder, "compose/docker-compose.yml"));
    await run(join(ROOT, "scripts/compose-setup"), [dataFolder, join(folder, "compose")]);
    const lines = Object.entries(options.settings).map(([name, value]) => `${name}=${value}\n`);
    await writeFile(join(folder, "compose/berth.env"), lines.join(""));
    const env = {
      BERTH_IMAGE: options.images.berth,
      POSTGRES_IMAGE: options.images.postgres,
      REDIS_IMAGE: options.images.redis,
      BERTH_PUBLISH: `127.0.0.1:${await freePort()}`,
    };
    const file = await readComposeFile(join(folder, "compose"), env);
    const client = scope.use(
      new DockerClient({ socketPath: "/var/run/docker.sock", ...DOCKER_ENGINE_SETTINGS }),
    );
    return new ComposeProject({ id, folder: join(folder, "compose"), dataFolder, file, env, client, scope });
  } catch (error) {
    await scope.close();
    throw error;
  }
}

export class ComposeProject implements AsyncDisposable {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  get file(): ComposeFile {
    return this.#parts.file;
  }
  get dataFolder(): string {
    return this.#parts.dataFolder;
  }

  /** What the secret holds on the host. */
  async secret(name: string): Promise<string> {
    return (await readFile(join(this.#parts.folder, `secrets/${name}`), "utf8")).trim();
  }

  /** The api's door on the published port. */
  async door(): Promise<BerthDoor> {
    const url = `http://${this.#parts.env["BERTH_PUBLISH"]}`;
    return new HttpDoor({ url, adminKey: await this.secret("admin_key") });
  }

  /** Makes networks and volumes, and starts the services, each when those that it depends on are healthy. */
  async up(): Promise<void> {
    const { file } = this.#parts;
    for (const [name, { internal }] of Object.entries(file.networks)) {
      const body = {
        Name: this.#name(name),
        Internal: internal,
        Labels: this.#labels(),
        CheckDuplicate: true,
      };
      await this.#post("/networks/create", body);
    }
    for (const name of Object.keys(file.volumes))
      await this.#post("/volumes/create", { Name: this.#name(name), Labels: this.#labels() });
    const started = new Map<string, Promise<void>>();
    const start = (name: string): Promise<void> => {
      const going = started.get(name) ?? this.#start(name, (other) => start(other));
      started.set(name, going);
      return going;
    };
    await Promise.all(Object.keys(file.services).map(start));
  }

  async inspect(service: string): Promise<InspectedContainer> {
    const path = `/containers/${this.#name(service)}/json`;
    const { body } = await this.#parts.client.call({ method: "GET", path }, within());
    return Inspected.parse(body);
  }

  /** Everything that the engine tells of a service's container, as text. */
  async inspectText(service: string): Promise<string> {
    const path = `/containers/${this.#name(service)}/json`;
    return JSON.stringify((await this.#parts.client.call({ method: "GET", path }, within())).body);
  }

  async restart(...services: readonly string[]): Promise<void> {
    await Promise.all(services.map((service) => this.#post(`${this.#path(service)}/restart`)));
  }

  /** Stops it with the file's own grace; the exit code. */
  async stop(service: string): Promise<number> {
    await this.#post(`${this.#path(service)}/stop`);
    return (await this.inspect(service)).State.ExitCode;
  }

  async start(service: string): Promise<void> {
    await this.#post(`${this.#path(service)}/start`);
  }

  /** Resolves when the engine says that the container's own check passes. */
  async healthy(service: string): Promise<void> {
    await eventually(async () => {
      const { State } = await this.inspect(service);
      // A machine under load may miss its checks for a while; one that ended does not come back.
      if (State.Status !== "running")
        throw new Error(`${service} is ${JSON.stringify(State)}: ${await this.logs(service)}`);
      return State.Health?.Status === "healthy" || undefined;
    }, 180_000);
  }

  async logs(service: string): Promise<string> {
    const { stdout, stderr } = await run("docker", ["logs", this.#name(service)], { maxBuffer: 64 << 20 });
    return stdout + stderr;
  }

  /** Runs a command in a service's container; what it printed. */
  async exec(service: string, ...command: readonly string[]): Promise<string> {
    const { stdout } = await run("docker", ["exec", this.#name(service), ...command]);
    return stdout.trim();
  }

  /** One more container of a service, with changes, to its end. */
  async runToEnd(
    service: string,
    change: (made: ComposeService) => ComposeService,
  ): Promise<{ exitCode: number; output: string }> {
    const once = `${service}-once`;
    const { [service]: made } = this.#parts.file.services;
    if (made === undefined) throw new Error(`the file has no service ${service}`);
    await this.#create(once, { ...change(made), restart: "no" });
    try {
      await this.start(once);
      const path = `${this.#path(once)}/wait`;
      await this.#parts.client.call({ method: "POST", path, timeoutMs: 60_000 }, within());
      const { State } = await this.inspect(once);
      return { exitCode: State.ExitCode, output: await this.logs(once) };
    } finally {
      await this.#remove(once);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { client, scope, file } = this.#parts;
    try {
      const services = Object.keys(file.services);
      await Promise.all(services.map((service) => this.#remove(service)));
      for (const name of Object.keys(file.volumes)) await this.#delete(`/volumes/${this.#name(name)}`);
      for (const name of Object.keys(file.networks)) await this.#delete(`/networks/${this.#name(name)}`);
    } finally {
      // Closes the client too.
      await scope.close();
      await client[Symbol.asyncDispose]();
    }
  }

  async #start(name: string, startOther: (name: string) => Promise<void>): Promise<void> {
    const { [name]: service } = this.#parts.file.services;
    if (service === undefined) throw new Error(`the file has no service ${name}`);
    await Promise.all(
      Object.keys(service.depends_on).map(async (other) => {
        await startOther(other);
        await this.healthy(other);
      }),
    );
    await this.#create(name, service);
    await this.start(name);
  }

  async #create(name: string, service: ComposeService): Promise<void> {
    const env = Object.assign({}, ...(await Promise.all(service.env_file.map((path) => this.#env(path)))));
    const [first, ...others] = service.networks.map((network) => this.#name(network));
    const body = {
      ...containerBody(service),
      Labels: this.#labels(),
      Env: Object.entries({ ...env, ...service.environment }).map(([key, value]) => `${key}=${value}`),
      HostConfig: { ...hostConfig(service), NetworkMode: first, Mounts: this.#mounts(service) },
      NetworkingConfig: { EndpointsConfig: { [first ?? ""]: { Aliases: [name] } } },
    };
    await this.#post("/containers/create", body, { name: this.#name(name) });
    for (const network of others) {
      const endpoint = { Container: this.#name(name), EndpointConfig: { Aliases: [name] } };
      await this.#post(`/networks/${network}/connect`, endpoint);
    }
  }

  #mounts({ volumes, secrets }: ComposeService) {
    const { folder, file } = this.#parts;
    return [
      ...volumes.map(({ type, source, target }) => ({
        Type: type,
        Source: type === "volume" ? this.#name(source) : source,
        Target: target,
      })),
      ...secrets.map((name) => ({
        Type: "bind",
        Source: join(folder, file.secrets[name]?.file ?? `no such secret: ${name}`),
        Target: `/run/secrets/${name}`,
        ReadOnly: true,
      })),
    ];
  }

  #env(path: string): Promise<Record<string, string>> {
    return readEnvFile(join(this.#parts.folder, path));
  }

  async #post(path: string, body?: object, query?: Record<string, string>): Promise<void> {
    const more = { ...(body && { body }), ...(query && { query }), timeoutMs: 90_000 };
    await this.#parts.client.call({ method: "POST", path, accept: [304], ...more }, within(90_000));
  }

  async #delete(path: string, query: Record<string, string> = {}): Promise<void> {
    await this.#parts.client.call({ method: "DELETE", path, query, accept: [404] }, within());
  }

  async #remove(service: string): Promise<void> {
    await this.#delete(this.#path(service), { force: "1", v: "1" });
  }

  #path(service: string): string {
    return `/containers/${this.#name(service)}`;
  }

  /** Compose's own names begin with the project's. */
  #name(name: string): string {
    return `${this.#parts.file.name}-test-${this.#parts.id}-${name}`;
  }

  #labels(): Record<string, string> {
    return { "berth.test": this.#parts.id };
  }
}

function containerBody(service: ComposeService) {
  const { healthcheck } = service;
  return {
    Image: service.image,
    ...(service.command && { Cmd: service.command }),
    ...(service.user && { User: service.user }),
    StopTimeout: service.stop_grace_period,
    ExposedPorts: Object.fromEntries(service.ports.map((port) => [`${port.split(":")[2]}/tcp`, {}])),
    ...(healthcheck && {
      Healthcheck: {
        Test: healthcheck.test,
        Interval: healthcheck.interval * SECOND_NS,
        Timeout: healthcheck.timeout * SECOND_NS,
        StartPeriod: healthcheck.start_period * SECOND_NS,
        Retries: healthcheck.retries,
      },
    }),
  };
}

function hostConfig(service: ComposeService) {
  return {
    Init: service.init,
    ReadonlyRootfs: service.read_only,
    Tmpfs: Object.fromEntries(service.tmpfs.map((path) => [path, ""])),
    CapDrop: service.cap_drop,
    SecurityOpt: service.security_opt,
    GroupAdd: service.group_add,
    Memory: service.mem_limit,
    PidsLimit: service.pids_limit,
    CpuShares: service.cpu_shares,
    ...(service.shm_size && { ShmSize: service.shm_size }),
    RestartPolicy: { Name: service.restart },
    LogConfig: { Type: service.logging.driver, Config: service.logging.options },
    PortBindings: Object.fromEntries(
      service.ports.map((port) => {
        const [HostIp, HostPort, inside] = port.split(":");
        return [`${inside}/tcp`, [{ HostIp, HostPort }]];
      }),
    ),
  };
}
