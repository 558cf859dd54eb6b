import { Fault } from "../../../domain/fault.ts";
import { proxyVariables } from "../../../domain/proxy.ts";
import { type BuildContainerDeps, withBuildContainer } from "../build/build-container.ts";
import { type CountedEnd, runCounted } from "../build/counted-run.ts";
import { CA_BUNDLE_PATH } from "../build/index-env.ts";
import type { BuildSettings } from "../build/settings.ts";
import { tarOf } from "../build/tar.ts";
import { quoted } from "../build/uv-script.ts";
import { BUILD_IMAGE_COMMAND } from "./find-build-image.ts";
import type { Source, SourcePlace } from "./source.ts";
import { readScript, SOURCE_PATH, SOURCES_PATH } from "./source-places.ts";

export interface FetchSourceDeps extends Omit<BuildContainerDeps, "limits"> {
  readonly settings: BuildSettings;
  /** Runs a script in the container that fetches, with the index in its environment. */
  readonly run: (script: string) => Promise<CountedEnd>;
  /** Throws what the end of a failed script means. */
  readonly fail: (end: CountedEnd) => never;
}

export interface FetchSource {
  readonly source: Source;
  /** Number of the source in this build; its folder on the host is `hostFolder`. */
  readonly number: number;
  readonly hostFolder: string;
  readonly containerName: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly buildImage: string | undefined;
  readonly onLog: (text: string) => void;
}

/**
 * Puts a source into its folder without running any of its code, and resolves with a hash of it. Throws what fetches of
 * wheels throw, `dependency_hash_mismatch`, and `source_build_refused` for a repository where there is no build image.
 */
export async function fetchSource(
  deps: FetchSourceDeps,
  request: FetchSource,
  signal: AbortSignal,
): Promise<string> {
  const { place, hashes, label } = request.source;
  if (place.kind === "git") return await cloneRepository(deps, request, place, signal);
  const folder = `${SOURCES_PATH}/${request.number}/source`;
  const end = await deps.run(await fetchScript(place, folder));
  if (end.exitCode !== 0) return deps.fail(end);
  const said = end.answers.at(-1) ?? "";
  const hash = /\b([0-9a-f]{64})\b/.exec(said)?.[1] ?? "";
  if (hashes.length > 0 && !hashes.includes(hash)) {
    throw new Fault(
      "dependency_hash_mismatch",
      `The hash of the source of ${label} is not one that the package names.`,
      {
        details: { field: "dependencies", value: hash, accepted: hashes },
      },
    );
  }
  return hash;
}

async function fetchScript(place: Exclude<SourcePlace, { kind: "git" }>, folder: string): Promise<string> {
  if (place.kind === "package") {
    // One hash for a file or a whole folder, by names and contents.
    return `cp -R ${quoted([place.path])} ${folder}/ || exit 74
cd ${folder} && find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum`;
  }
  const words =
    place.kind === "index" ? ["version", place.name, place.version, folder] : ["fetch", place.url, folder];
  return await indexScript(words);
}

/** A command of the script that reads the index. */
export async function indexScript(words: readonly string[]): Promise<string> {
  return `python3 -I -S -c ${quoted([await readScript("index.py"), ...words])} || exit`;
}

/** Runs nothing of the repository: a clone brings no hooks, and filters are only those of git's own settings. */
const CLONE = `
git clone --quiet --no-checkout -- "$URL" ${SOURCE_PATH}/tree || exit
cd ${SOURCE_PATH}/tree || exit
at=HEAD
if [ -n "$REF" ]; then
  at=$(git rev-parse --quiet --verify --end-of-options "origin/$REF^{commit}" ||
    git rev-parse --quiet --verify --end-of-options "$REF^{commit}") ||
    { echo "error: the repository has no branch, tag or commit $REF" >&2; exit 1; }
fi
git checkout --quiet --detach "$at" && git submodule --quiet update --init --recursive || exit
git rev-parse HEAD
`;

async function cloneRepository(
  deps: FetchSourceDeps,
  { source, buildImage, containerName, labels, hostFolder, onLog }: FetchSource,
  { url, ref }: Extract<SourcePlace, { kind: "git" }>,
  signal: AbortSignal,
): Promise<string> {
  const { engine, settings } = deps;
  const { caBundle, proxies } = settings.index;
  if (buildImage === undefined) {
    const message = `"${source.label}" needs git, which is in the build image; ${BUILD_IMAGE_COMMAND} makes it.`;
    throw new Fault("source_build_refused", message, {
      details: {
        field: "dependencies",
        value: source.label,
        accepted: `an install after ${BUILD_IMAGE_COMMAND}`,
      },
    });
  }
  const container = {
    name: `${containerName}-git`,
    image: buildImage,
    command: ["/bin/sleep", "infinity"],
    network: settings.network,
    user: settings.hostUser,
    labels,
    mounts: [{ hostPath: hostFolder, path: SOURCE_PATH, readOnly: false }],
  };
  return await withBuildContainer({ ...deps, limits: settings.limits }, container, signal, async (id) => {
    if (caBundle !== undefined) {
      const content = Buffer.from(caBundle.pem);
      const file = { type: "file", path: CA_BUNDLE_PATH.slice(1), bytes: content.length, content } as const;
      await engine.putArchive(id, "/", tarOf([file]), signal);
    }
    await engine.startContainer(id, signal);
    const env = {
      URL: url,
      REF: ref,
      HOME: "/tmp",
      PATH: "/usr/local/bin:/usr/bin:/bin",
      LC_ALL: "C.UTF-8",
      GIT_ALLOW_PROTOCOL: "https:http",
      GIT_TERMINAL_PROMPT: "0",
      ...proxyVariables(proxies),
      ...(caBundle === undefined ? {} : { GIT_SSL_CAINFO: CA_BUNDLE_PATH }),
    };
    const end = await runCounted(deps, { id, script: CLONE, env, onLog }, signal);
    const commit = end.answers.at(-1) ?? "";
    if (end.exitCode === 0 && /^[0-9a-f]{40,64}$/.test(commit)) return `git:${commit}`;
    throw cloneFailure(source.label, end);
  });
}

function cloneFailure(label: string, { exitCode, output }: CountedEnd): Fault {
  const details = { field: "dependencies", value: label, exitCode, output: output.trim().slice(-2000) };
  if (/Could not resolve host/.test(output)) {
    return new Fault("name_not_resolved", `The host of "${label}" cannot be resolved.`, { details });
  }
  if (/Failed to connect|Couldn't connect|Connection|timed out|error: 5\d\d/.test(output)) {
    return new Fault("index_unreachable", `The repository of "${label}" cannot be reached.`, { details });
  }
  const last = output.trim().split("\n").at(-1) ?? "";
  return new Fault("dependency_unresolvable", `The repository of "${label}" cannot be read: ${last}.`, {
    details: { ...details, accepted: "a repository with that branch, tag or commit" },
  });
}
