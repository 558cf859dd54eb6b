/**
 * The one process of a build that reaches the network. It runs under `/bin/sh` in a Container of its own, from the
 * requirement files in `/build`, and fills `/opt/venv`. It installs wheels and runs none of them: nothing starts the
 * new environment's Python, because a `.pth` file in a wheel is code.
 */
import type { Dependencies } from "./requirements.ts";
import type { BuildLimits } from "./settings.ts";

export const INPUT_PATH = "/build";
export const CACHE_PATH = "/cache";
export const VENV_PATH = "/opt/venv";
/** In the one folder that the script's user may write to beside cache and environment. */
const WANTED = "/tmp/wanted.txt";

/** Exit code of the script where a requirement names its own address; its lines are on stderr. */
export const EXIT_ADDRESS = 90;
/** Exit code where the lock or the project file cannot be read. */
export const EXIT_UNREADABLE = 91;
/** Exit code where more was written than a build may. */
export const EXIT_DISK = 92;
/** What the shell makes of SIGXFSZ: one file grew past the limit that the kernel keeps. */
export const EXIT_FILE_SIZE = 128 + 25;
/** Its one line says that the byte count has ended the installer. */
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
 * Prints on stdout, each second, one number that grows while something is received or written: with no such number
 * an installer that waits and one that downloads a large wheel look the same from outside. Four times a second it
 * adds up what the kernel says was written to disk, and ends the installer past twice the limit. The kernel itself
 * keeps each file below the limit: what is unpacked between two looks is many files or none.
 */
const countScript = (diskBytes: number) => `
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
    read -r name <"$p/comm" && [ "$name" = uv ] && kill -KILL "\${p#/proc/}"
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

/** A Container that was killed may have left wheels behind, and uv asks the environment's Python who it is. */
const EMPTY_VENV = `
find ${VENV_PATH} -mindepth 1 -maxdepth 1 -exec rm -rf {} + || exit 74
uv venv --quiet --allow-existing ${VENV_PATH} || exit
`;

const REFUSE_ADDRESSES = `
if grep -E '^[^#-].* @ |^-e |^[./]|^[a-z+]+://' ${WANTED} >&2; then exit ${EXIT_ADDRESS}; fi
`;

const RESOLVE: Record<Dependencies["kind"], string> = {
  // The lock's versions and hashes without its addresses: they are looked up in the operator's index.
  lock: `
uv export --quiet --frozen --offline --no-dev --no-emit-project --no-header --no-annotate -o ${WANTED} >/dev/null || exit ${EXIT_UNREADABLE}
${REFUSE_ADDRESSES}`,
  pyproject: `
uv pip compile --quiet --no-build --no-sources --no-header --no-annotate pyproject.toml -o ${WANTED} >/dev/null || exit
${REFUSE_ADDRESSES}`,
  requirements: `cp requirements.txt ${WANTED}`,
  none: `: >${WANTED}`,
};

const INSTALL: Record<Dependencies["kind"], string> = {
  lock: "--no-deps",
  pyproject: "--no-deps",
  requirements: "",
  none: "",
};

export function uvScript(kind: Dependencies["kind"], { diskBytes }: Pick<BuildLimits, "diskBytes">): string {
  const install = `uv pip install --python ${VENV_PATH}/bin/python --no-build --no-sources ${INSTALL[kind]} -r ${WANTED}`;
  return [
    countScript(diskBytes),
    EMPTY_VENV,
    `cd ${INPUT_PATH} || exit`,
    RESOLVE[kind],
    kind === "none" ? "" : `[ ! -s ${WANTED} ] || ${install} || exit`,
    `[ "$(du -sk ${VENV_PATH} | cut -f1)" -le ${Math.ceil(diskBytes / 1024)} ] || exit ${EXIT_DISK}`,
  ].join("\n");
}
