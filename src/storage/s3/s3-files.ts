import type { FileStore, StoredFile } from "../file-store.ts";
import type { Bucket } from "./bucket.ts";
import { digestOf } from "./file-digest.ts";
import type { Speak } from "./speak.ts";

export interface S3FilesParts {
  readonly bucket: Bucket;
  /** In front of every path; empty, or ending in `/`. */
  readonly prefix: string;
  readonly speak: Speak;
}

/** Files as objects of a bucket. Reading one loads it into memory: they are small. */
export function createS3Files({ bucket, prefix, speak }: S3FilesParts): FileStore {
  const keyOf = (path: string) => `${prefix}${path}`;
  const size = (path: string) => speak(() => bucket.size(keyOf(path)));
  async function* list(folder: string, signal: AbortSignal): AsyncGenerator<StoredFile> {
    const start = keyOf(`${folder}/`);
    const objects = bucket.list(start, signal);
    for (;;) {
      const next = await speak(() => objects.next());
      if (next.done === true) return;
      const path = next.value.key.slice(start.length);
      if (path !== "") yield { path, bytes: next.value.bytes };
    }
  }
  return {
    size,
    list,
    read: (path) => speak(() => bucket.getBytes(keyOf(path))),
    write: (path, bytes) => speak(() => bucket.putBytes(keyOf(path), bytes)),
    writeFrom: async (path, localFile) => {
      const digest = await digestOf(localFile);
      await speak(() => bucket.putFile(keyOf(path), localFile, { digest, onlyNew: false }));
    },
    remove: async (path) => {
      if ((await size(path)) === undefined) return false;
      await speak(() => bucket.remove(keyOf(path)));
      return true;
    },
    removeFolder: async (folder) => {
      const { signal } = new AbortController();
      for await (const { path } of list(folder, signal))
        await speak(() => bucket.remove(keyOf(`${folder}/${path}`)));
    },
  };
}
