/**
 * The one process of a build with network access. It runs under `/bin/sh` in a container of its own, reads the
 * requirement files in `/build` and fills `/opt/venv`. It installs wheels and runs none of their code: nothing starts
 * the new environment's Python, because a `.pth` file in a wheel is code.
 */
import type { Dependencies } from "../requirements/choose-dependencies.ts";
import { CONSTRAINTS_FILE, INPUT_PATH, WANTED_FILE } from "../requirements/input-files.ts";
import type { BuildLimits } from "./settings.ts";

export const CACHE_PATH = "/cache";
export const VENV_PATH = "/opt/venv";
/** In `/tmp`, the only folder beside cache and environment that the script's user may write to. */
const WANTED = "/tmp/wanted.txt";

/** Exit code of the script where a requirement names its own address; its lines are on stderr. */
export const EXIT_ADDRESS = 90;
/** Exit code where the lock or the project file cannot be read. */
export const EXIT_UNREADABLE = 91;
/** Exit code where the build wrote more than its disk limit. */
export const EXIT_DISK = 92;
/** The shell's exit code for SIGXFSZ: one file grew past the limit that the kernel enforces. */
export const EXIT_FILE_SIZE = 128 + 25;
/** Exists, with one line, where the byte count has ended the installer. */
const DISK_FULL = "/tmp/disk-full";

export const UV_ENV: Readonly<Record<string, string>> = {
  HOME: "/tmp",
  PATH: "/usr/local/bin:/usr/bin:/bin",
  LC_ALL: "C.UTF-8",
  NO_COLOR: "1",
  UV_CACHE_DIR: CACHE_PATH,
  UV_LINK_MODE: "copy",
  UV_NO_CONFIG: "1",
  UV_NO_PROGRESS: "1",
  UV_PYTHON: "/usr/local/bin/python3",
  UV_PYTHON_DOWNLOADS: "never",
};

/**
 * Prints one number on stdout each second, which grows while something is received or written: without it an installer
 * that waits and one that downloads a large wheel look the same from outside. Four times a second it adds up the bytes
 * that the kernel counts as written to disk, and ends the installer past twice the limit. The kernel enforces the limit
 * for each file, so that no single file outgrows it between two counts.
 */
export const countScript = (diskBytes: number): string => `
ulimit -f ${Math.ceil(diskBytes / 512)}
count() {
  i=0
  while sleep 0.25 >/dev/null 2>&1; do
    n=0
    w=0
    for f in /sys/class/net/*/statistics/rx_bytes /proc/[0-9]*/io; do
      while read -r k v; do
        case "$k" in
          wchar:) n=$((n + v)) ;;
          write_bytes:) w=$((w + v)) ;;
          cancelled_write_bytes:) w=$((w - v)) ;;
          [0-9]*) n=$((n + k)) ;;
        esac
      done <"$f"
    done 2>/dev/null
    i=$(((i + 1) % 4))
    [ $i -ne 0 ] || echo "$n"
    [ $w -le ${diskBytes * 2} ] || full
  done
}
full() {
  echo "$w bytes were written" >${DISK_FULL}
  for p in /proc/[0-9]*; do
    read -r name <"$p/comm" && case "$name" in uv | git* | python3*) kill -KILL "\${p#/proc/}" ;; esac
  done 2>/dev/null
}
end() {
  code=$?
  kill $counter
  [ ! -e ${DISK_FULL} ] || { cat ${DISK_FULL} >&2; exit ${EXIT_DISK}; }
  exit $code
}
count &
counter=$!
trap end EXIT
`;

/** A killed container may have left wheels in the folder, and uv runs the environment's Python to identify it. */
const EMPTY_VENV = `
find ${VENV_PATH} -mindepth 1 -maxdepth 1 -exec rm -rf {} + || exit 74
uv venv --quiet --allow-existing ${VENV_PATH} || exit
`;

/** Addresses in a lock; wheels of the package are in the input's folder, and the export names them relative to it. */
const REFUSE_ADDRESSES = `
if grep -E '^[^#-].* @ |^-e |^[./]|^[a-z+]+://' ${WANTED} | grep -vE '^[^@]*(@ *)?(file://${INPUT_PATH}/|[.]/)[^ ;]*[.]whl' >&2; then exit ${EXIT_ADDRESS}; fi
`;

export function uvScript(
  { kind, files, options }: Pick<Dependencies, "kind" | "files" | "options">,
  { diskBytes }: Pick<BuildLimits, "diskBytes">,
): string {
  const constraints = files.some(({ name }) => name === CONSTRAINTS_FILE) ? `-c ${CONSTRAINTS_FILE}` : "";
  const install = `uv pip install --python ${VENV_PATH}/bin/python --no-build --no-sources`;
  const steps: Record<Dependencies["kind"], string> = {
    // The lock's versions and hashes without its addresses: they are looked up in the operator's index.
    lock: `
${exportScript(options)}
${REFUSE_ADDRESSES}
[ ! -s ${WANTED} ] || ${install} --no-deps -r ${WANTED} || exit`,
    requirements: `${install} ${quoted(options)} ${constraints} -r ${WANTED_FILE} || exit`,
    none: "",
  };
  return [
    EMPTY_VENV,
    `cd ${INPUT_PATH} || exit`,
    steps[kind],
    `[ "$(du -sk ${VENV_PATH} | cut -f1)" -le ${Math.ceil(diskBytes / 1024)} ] || exit ${EXIT_DISK}`,
  ].join("\n");
}

function exportScript(options: readonly string[]): string {
  return `uv export --quiet --frozen --offline --no-dev ${quoted(options)} --no-emit-project --no-header --no-annotate -o ${WANTED} >/dev/null || exit ${EXIT_UNREADABLE}`;
}

/** Prints the lines of a lock. */
export function lockLinesScript(options: readonly string[]): string {
  return `cd ${INPUT_PATH} || exit\n${exportScript(options)}\ncat ${WANTED}`;
}

/** Prints one pinned line for each package that the wanted lines lead to, with wheels from these folders too. */
export function resolveScript(
  { files, options }: Pick<Dependencies, "files" | "options">,
  folders: readonly string[],
): string {
  const constraints = files.some(({ name }) => name === CONSTRAINTS_FILE) ? `-c ${CONSTRAINTS_FILE}` : "";
  const asked = options.filter((option) => option !== "--require-hashes");
  const finds = folders.map((folder) => `--find-links=${folder}`);
  return `cd ${INPUT_PATH} || exit
uv pip compile --quiet --no-build --no-sources --no-header --no-annotate ${quoted([...asked, ...finds])} ${constraints} ${WANTED_FILE}`;
}

export function quoted(words: readonly string[]): string {
  return words.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
}
