/** Changes below a plugin's folder that make its process old. */
import { existsSync } from "node:fs";
import { basename, join, relative } from "node:path";
import { watch } from "chokidar";

export interface FolderWatch extends AsyncDisposable {
  /** Resolves once something has changed since the last `take`, and nothing has for a moment. */
  changed(): Promise<void>;
  /** The paths that have changed since the last time, relative to the folder. */
  take(): readonly string[];
}

/** Folders of tools, which change while a plugin runs. */
const FOLDERS = new Set([
  ".git",
  ".hg",
  ".svn",
  ".venv",
  "venv",
  ".idea",
  ".vscode",
  ".mypy_cache",
  ".pytest_cache",
  ".ruff_cache",
  "__pycache__",
  "node_modules",
]);

/** Drafts and backups of editors, byte code, packages. `4913` is what vim writes to see whether it can. */
const FILES = /(^\.#|^#.*#$|^4913$|^\.DS_Store$|~$|\.(sw[a-z]|tmp|part|pyc|pyo|difypkg|log)$)/;

/** Whether a change of this file or folder is none of the plugin. A folder with a `pyvenv.cfg` is an environment. */
export function isIgnored(path: string, isEnvironment: (folder: string) => boolean): boolean {
  const name = basename(path);
  return FOLDERS.has(name) || FILES.test(name) || isEnvironment(path);
}

/** Resolves when every file is watched: a change after that is not missed. `quietMs`: how long a moment is. */
export async function watchFolder(folder: string, quietMs: number): Promise<FolderWatch> {
  const changes = new Changes((path) => existsSync(join(folder, path)));
  let timer: NodeJS.Timeout | undefined;
  let quiet = Promise.withResolvers<void>();
  const hasConfig = (path: string) => existsSync(join(path, "pyvenv.cfg"));
  const watcher = watch(folder, {
    ignoreInitial: true,
    followSymlinks: false,
    ignored: (path) => path !== folder && isIgnored(path, hasConfig),
  });
  watcher.on("all", (event, path) => {
    changes.note(event, relative(folder, path));
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (changes.paths().length > 0) quiet.resolve();
    }, quietMs);
  });
  await new Promise<void>((resolve, reject) => {
    watcher.once("ready", resolve);
    // A folder that becomes unreadable later is found by the plugin, too.
    watcher.on("error", reject);
  });
  return {
    changed: () => quiet.promise,
    take: () => {
      quiet = Promise.withResolvers();
      return changes.take();
    },
    async [Symbol.asyncDispose]() {
      clearTimeout(timer);
      await watcher.close();
    },
  };
}

/** What has changed, without files that came and went: programs write under a name of their own, then rename. */
class Changes {
  readonly #exists: (path: string) => boolean;
  readonly #changed = new Set<string>();
  readonly #added = new Set<string>();
  /** Went before anybody was told that they came. */
  readonly #ghosts = new Set<string>();

  constructor(exists: (path: string) => boolean) {
    this.#exists = exists;
  }

  note(event: string, path: string): void {
    if (event.startsWith("unlink") && this.#ghosts.delete(path)) return;
    if (event.startsWith("add")) {
      this.#added.add(path);
      this.#ghosts.delete(path);
    }
    this.#changed.add(path);
  }

  paths(): readonly string[] {
    for (const path of this.#added)
      if (this.#changed.has(path) && !this.#exists(path)) {
        this.#changed.delete(path);
        this.#ghosts.add(path);
      }
    return [...this.#changed].sort();
  }

  take(): readonly string[] {
    const paths = this.paths();
    this.#changed.clear();
    this.#added.clear();
    return paths;
  }
}
