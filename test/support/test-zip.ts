import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32, deflateRawSync } from "node:zlib";

/** One entry of a zip that a test writes by hand, wrong in whatever way the test wants. */
export interface RawEntry {
  readonly name: string | Buffer;
  readonly content?: string | Buffer;
  readonly method?: number;
  readonly flags?: number;
  /** Unix mode with its type bits. */
  readonly mode?: number;
  /** Uncompressed size that the directory claims. */
  readonly claim?: number;
  readonly crc?: number;
  /** Name in the entry's own header, where the directory has another. */
  readonly localName?: string;
  /** The same for the compression method. */
  readonly localMethod?: number;
  /** Offset of another entry's header, to share its bytes. */
  readonly offset?: number;
}

export function rawZip(entries: readonly RawEntry[]): Buffer {
  const locals: Buffer[] = [];
  const central: Buffer[] = [];
  let offset = 0;
  for (const entry of entries) {
    const name = Buffer.from(entry.name);
    const content = Buffer.from(entry.content ?? "");
    const method = entry.method ?? 8;
    const data = method === 8 ? deflateRawSync(content) : content;
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(entry.flags ?? 0x800, 2);
    common.writeUInt16LE(method, 4);
    common.writeUInt32LE(entry.crc ?? crc32(content), 10);
    common.writeUInt32LE(data.length, 14);
    common.writeUInt32LE(entry.claim ?? content.length, 18);
    common.writeUInt16LE(name.length, 22);
    const localName = Buffer.from(entry.localName ?? name);
    const head = Buffer.from(common);
    head.writeUInt16LE(entry.localMethod ?? method, 4);
    head.writeUInt16LE(localName.length, 22);
    const local = Buffer.concat([Buffer.from("PK\x03\x04", "latin1"), head, localName, data]);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(((entry.mode ?? 0o100644) << 16) >>> 0, 6);
    tail.writeUInt32LE(entry.offset ?? offset, 10);
    central.push(Buffer.concat([Buffer.from("PK\x01\x02\x14\x03", "latin1"), common, tail, name]));
    locals.push(local);
    offset += local.length;
  }
  const directory = Buffer.concat(central);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", "latin1");
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...locals, directory, end]);
}

export function zipOf(files: Readonly<Record<string, string | Buffer>>): Buffer {
  return rawZip(Object.entries(files).map(([name, content]) => ({ name, content })));
}

/** A folder that is removed when the test leaves its scope. */
export async function temporaryFolder(): Promise<{
  readonly path: string;
  file(name: string, bytes: Buffer): Promise<string>;
  [Symbol.asyncDispose](): Promise<void>;
}> {
  const path = await mkdtemp(join(tmpdir(), "berth-packages-"));
  return {
    path,
    file: async (name, bytes) => {
      await writeFile(join(path, name), bytes);
      return join(path, name);
    },
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  };
}

/** A small package of the real dialect; `changes` replaces files, undefined takes one out. */
export function realFiles(
  changes: Readonly<Record<string, string | undefined>> = {},
): Record<string, string> {
  const files: Record<string, string | undefined> = {
    "manifest.yaml": REAL_MANIFEST,
    "main.py": "",
    "requirements.txt": "dify_plugin\n",
    "_assets/icon.svg": "<svg/>",
    "provider/echo.yaml": REAL_PROVIDER,
    "provider/echo.py": "",
    "tools/echo.yaml": REAL_TOOL,
    "tools/echo.py": "",
    ...changes,
  };
  return Object.fromEntries(
    Object.entries(files).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}

export function seedFiles(
  manifest: Readonly<Record<string, unknown>> = {},
  changes: Readonly<Record<string, string | undefined>> = {},
): Record<string, string> {
  const files: Record<string, string | undefined> = {
    "manifest.json": JSON.stringify({
      version: "1.0.0",
      author: "acme",
      name: "seedling",
      icon: "icon.svg",
      plugins: { tools: ["my_tool"] },
      ...manifest,
    }),
    "icon.svg": "<svg/>",
    "tools/my_tool.yaml": "parameters:\n  - name: query\n    type: string\n",
    "tools/my_tool.py": "",
    ...changes,
  };
  return Object.fromEntries(
    Object.entries(files).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}

export const REAL_MANIFEST = `version: 0.0.1
type: plugin
author: acme
name: echo
label: { en_US: Echo, zh_Hant: dropped }
description: { en_US: Repeats }
icon: icon.svg
created_at: 2025-01-02 03:04:05.600
resource: { memory: 1048576 }
plugins: { tools: [provider/echo.yaml] }
meta:
  version: 0.0.1
  arch: [amd64]
  runner: { language: python, version: "3.12", entrypoint: main }
  minimum_dify_version: 1.7.0
`;
const REAL_PROVIDER = `identity: { author: acme, name: echo, icon: icon.svg, label: { en_US: Echo } }
credentials_for_provider:
  api_key: { type: secret-input, required: yes, label: { en_US: Key } }
tools: [tools/echo.yaml]
extra: { python: { source: provider/echo.py } }
`;
const REAL_TOOL = `identity: { author: acme, name: echo, label: { en_US: Echo } }
description: { human: { en_US: Repeats }, llm: Repeats }
parameters:
  - name: language
    type: select
    form: form
    label: { en_US: Language }
    human_description: { en_US: Language }
    default: no
    options: [{ value: no, label: { en_US: Norwegian } }, { value: 0, label: { en_US: None } }]
extra: { python: { source: tools/echo.py } }
`;
