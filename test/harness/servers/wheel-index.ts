/** A package index for one test: on the engine's bridge, behind a password, with wheels made on the spot. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { buffer } from "node:stream/consumers";
import { createGzip } from "node:zlib";
import { pack } from "tar-stream";
import { ZipFile } from "yazl";
import type { Certificate } from "./authority.ts";

export interface TestWheel {
  readonly name: string;
  readonly version: string;
  /** By path inside the wheel. */
  readonly files: Readonly<Record<string, string>>;
  /** Further lines of its metadata. */
  readonly metadata?: string;
  /** Where its page says that the file is, instead of here. */
  readonly base?: string;
  /** What its page says of the file's hash, instead of the truth. */
  readonly hash?: string;
  /** There is a source archive of these files and no wheel. */
  readonly isSource?: true;
  /** Its file ends only when this resolves; what is not held is sent at once. */
  readonly held?: Promise<void>;
}

export interface WheelIndex extends AsyncDisposable {
  /** With user and password. */
  readonly url: string;
  readonly password: string;
  readonly port: number;
  readonly requests: readonly string[];
  /** SHA-256 of its files, by their names. */
  readonly hashes: ReadonlyMap<string, string>;
}

interface WheelIndexOptions {
  readonly stallDownloads?: boolean;
  /** HTTPS with this certificate; plain HTTP without. */
  readonly certificate?: Certificate;
  readonly user?: string;
  readonly password?: string;
  /** Called before each answer. */
  readonly onRequest?: (path: string) => void;
}

export async function startWheelIndex(
  wheels: readonly TestWheel[],
  options: WheelIndexOptions = {},
): Promise<WheelIndex> {
  const { user = "berth", password = `pw-${crypto.randomUUID()}`, certificate } = options;
  const requests: string[] = [];
  const files = new Map<string, Served>();
  for (const wheel of wheels) {
    const end = wheel.isSource === true ? ".tar.gz" : "-py3-none-any.whl";
    const bytes = await (wheel.isSource === true ? packSource(wheel) : packWheel(wheel));
    const hash = createHash("sha256").update(bytes).digest("hex");
    files.set(`${wheel.name}-${wheel.version}${end}`, { bytes, hash, wheel });
  }
  const authorization = `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
  const answer = (request: IncomingMessage, response: ServerResponse) => {
    const path = request.url ?? "/";
    requests.push(path);
    options.onRequest?.(path);
    if (request.headers.authorization !== authorization) {
      return response.writeHead(401, { "www-authenticate": "Basic" }).end();
    }
    const file = files.get(path.slice(path.lastIndexOf("/") + 1));
    if (file !== undefined) {
      const { bytes, wheel } = file;
      response.writeHead(200, { "content-length": bytes.length });
      if (request.method === "HEAD") return response.end();
      if (options.stallDownloads !== true && wheel.held === undefined) return response.end(bytes);
      // One byte, and then nothing: a connection that stands and brings nothing.
      response.write(bytes.subarray(0, 1));
      return void wheel.held?.then(() => response.end(bytes.subarray(1)));
    }
    const project = /^\/simple\/([^/]+)\/$/.exec(path)?.[1];
    const links = [...files].filter(([name]) => name.startsWith(`${project?.replaceAll("-", "_")}-`));
    if (links.length === 0) return response.writeHead(404).end();
    const html = links.map(([name, { hash, wheel }]) => {
      const { base = "/files/", hash: told = hash } = wheel;
      return `<a href="${base}${name}#sha256=${told}">${name}</a>`;
    });
    return response
      .writeHead(200, { "content-type": "text/html" })
      .end(`<html><body>${html.join("")}</body></html>`);
  };
  const server =
    certificate === undefined
      ? createServer(answer)
      : createTlsServer(
          { key: readFileSync(certificate.keyFile), cert: readFileSync(certificate.certFile) },
          answer,
        );
  const host = bridgeAddress();
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no address");
  return {
    url: `http${certificate === undefined ? "" : "s"}://${encodeURIComponent(user)}:${encodeURIComponent(password)}@${host}:${address.port}/simple`,
    password,
    port: address.port,
    requests,
    hashes: new Map([...files].map(([name, { hash }]) => [name, hash])),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

interface Served {
  readonly bytes: Buffer;
  readonly hash: string;
  readonly wheel: TestWheel;
}

/** Node lists no interface without a carrier, and the bridge has none while no container is on it. */
export function bridgeAddress(): string {
  const text = execFileSync("ip", ["-4", "-o", "addr", "show", "docker0"], { encoding: "utf8" });
  const found = /inet ([0-9.]+)\//.exec(text)?.[1];
  if (found === undefined) throw new Error("the Engine's bridge docker0 has no IPv4 address");
  return found;
}

/** The bytes of a source archive with these files alone. */
async function packSource({ name, version, files }: TestWheel): Promise<Buffer> {
  const tar = pack();
  for (const [path, text] of Object.entries(files)) tar.entry({ name: `${name}-${version}/${path}` }, text);
  tar.finalize();
  return await buffer(tar.pipe(createGzip()));
}

/** The bytes of a wheel. */
export async function packWheel({ name, version, files, metadata = "" }: TestWheel): Promise<Buffer> {
  const info = `${name}-${version}.dist-info`;
  const all: Record<string, string> = {
    ...files,
    [`${info}/METADATA`]: `Metadata-Version: 2.1\nName: ${name}\nVersion: ${version}\n${metadata}`,
    [`${info}/WHEEL`]: "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
  };
  const record = [...Object.keys(all).map((path) => `${path},,`), `${info}/RECORD,,`].join("\n");
  const zip = new ZipFile();
  for (const [path, text] of Object.entries({ ...all, [`${info}/RECORD`]: `${record}\n` })) {
    zip.addBuffer(Buffer.from(text), path);
  }
  zip.end();
  return await buffer(zip.outputStream);
}
