/**
 * Images for the compose test on a machine that can pull none. The stand-ins (`test/images`) are made once and kept,
 * named by what they are made of; Berth's own image is built of the Dockerfile each time, which is quick where the
 * engine remembers its steps.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { chmod, copyFile, cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, "../../..");
const SOURCES = join(import.meta.dirname, "../../images");
const NPM = "npm@11";
const BUILD_MS_MAX = 900_000;

export interface StandIns {
  readonly node: string;
  readonly postgres: string;
  readonly redis: string;
}

/** References of the stand-ins, made where they are missing. */
export async function ensureStandIns(): Promise<StandIns> {
  const recipe = await recipeOf();
  const images = {
    node: `berth-test-node:${recipe}`,
    postgres: `berth-test-postgres:${recipe}`,
    redis: `berth-test-redis:${recipe}`,
  };
  const known = await Promise.all(
    Object.entries(images).map(async ([target, image]) => ({
      target,
      image,
      isThere: await hasImage(image),
    })),
  );
  const missing = known.filter(({ isThere }) => !isThere);
  if (missing.length === 0) return images;
  await withContext(async (context) => {
    await copyFile(process.execPath, join(context, "node"));
    await chmod(join(context, "node"), 0o755);
    // A whole npm, which a distribution's own often is not.
    const authorities = process.env["NODE_EXTRA_CA_CERTS"] ?? process.env["SSL_CERT_FILE"];
    await run("npm", ["install", "--prefix", join(context, "tools"), "--no-audit", "--no-fund", NPM], {
      env: { ...process.env, ...(authorities === undefined ? {} : { NODE_EXTRA_CA_CERTS: authorities }) },
    });
    await cp(join(context, "tools/node_modules/npm"), join(context, "npm"), { recursive: true });
    await rm(join(context, "tools"), { recursive: true });
    await cp(SOURCES, context, { recursive: true });
    for (const { target, image } of missing)
      await build(context, ["--target", target, "--build-arg", `MIRROR=${await mirror()}`, "--tag", image]);
  });
  await removeOthers(images);
  return images;
}

/**
 * Builds Berth's image out of a copy of the sources in which there are also things that must not get into it: see
 * `PLANTED`.
 */
export async function buildBerth({ image, base }: { image: string; base: string }): Promise<void> {
  await withContext(async (context) => {
    const names = ["Dockerfile", ".dockerignore", "LICENSE", "package.json", "package-lock.json"];
    for (const name of [...names, "prisma.config.ts", "prisma", "scripts", "src", "runtime-images"])
      await cp(join(ROOT, name), join(context, name), { recursive: true });
    for (const path of PLANTED) {
      await mkdir(join(context, path, ".."), { recursive: true });
      await writeFile(join(context, path), "planted");
    }
    await writeFile(join(context, ".npmrc"), await npmSettings());
    await build(context, ["--build-arg", `NODE_IMAGE=${base}`, "--tag", image]);
  });
  // The engine remembers the steps of a build by the images that it leaves; only the newest are of use again.
  const stages = ["--filter", "dangling=true", "--filter", "label=berth.stage=build"];
  const { stdout } = await run("docker", ["images", "--quiet", ...stages]);
  for (const old of stdout.split("\n").filter(Boolean).slice(1))
    await run("docker", ["rmi", old]).catch(() => undefined);
}

/** Those of an older recipe; whoever uses one still keeps it. */
async function removeOthers(images: StandIns): Promise<void> {
  for (const wanted of Object.values(images)) {
    const repository = wanted.slice(0, wanted.indexOf(":"));
    const format = ["--format", "{{.Repository}}:{{.Tag}}"];
    const { stdout } = await run("docker", ["images", ...format, repository]);
    const others = stdout.split("\n").filter((image) => image !== "" && image !== wanted);
    for (const image of others) await run("docker", ["rmi", image]).catch(() => undefined);
  }
}

/** Files beside the sources that no image may have. */
export const PLANTED = [".env", "berth.env", "secrets/admin_key", "data/admin-key", "src/planted.test.ts"];

async function build(context: string, options: readonly string[]): Promise<void> {
  const proxies = ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"]
    .filter((name) => process.env[name] !== undefined)
    .flatMap((name) => ["--build-arg", name]);
  await run("docker", ["build", "--quiet", "--network", "host", ...proxies, ...options, context], {
    timeout: BUILD_MS_MAX,
    maxBuffer: 64 << 20,
  });
}

/** A folder that is gone afterwards, with the machine's own certificate authorities as `ca.pem`. */
async function withContext(work: (context: string) => Promise<void>): Promise<void> {
  const context = await mkdtemp(join(tmpdir(), "berth-image-"));
  const bundle = process.env["SSL_CERT_FILE"] ?? process.env["NODE_EXTRA_CA_CERTS"];
  try {
    await writeFile(join(context, "ca.pem"), bundle === undefined ? "" : await readFile(bundle));
    await work(context);
  } finally {
    await rm(context, { recursive: true });
  }
}

async function recipeOf(): Promise<string> {
  const hash = createHash("sha256").update(process.version).update(NPM);
  for (const name of ["Dockerfile", "postgres-entrypoint", "redis-entrypoint"])
    hash.update(await readFile(join(SOURCES, name)));
  const { stdout } = await run("docker", ["image", "inspect", "--format", "{{.Id}}", "berth-python:5"]);
  return hash.update(stdout).digest("hex").slice(0, 12);
}

async function hasImage(image: string): Promise<boolean> {
  const { stdout } = await run("docker", ["images", "--quiet", image]);
  return stdout.trim() !== "";
}

async function npmSettings(): Promise<string> {
  const { stdout } = await run("npm", ["config", "get", "userconfig"]);
  return await readFile(stdout.trim(), "utf8").catch(() => "");
}

/** Debian's mirror as this machine knows it. */
async function mirror(): Promise<string> {
  const given = process.env["BERTH_DEBIAN_MIRROR"];
  if (given !== undefined) return given;
  const { stdout } = await run("sh", [
    "-c",
    "cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null || true",
  ]);
  const found = /^(?:URIs:|deb(?: \[[^\]]*\])?) *(https?:\/\/\S+\/debian\/?)(?:\s|$)/m.exec(stdout);
  return found?.[1] ?? "http://deb.debian.org/debian";
}
