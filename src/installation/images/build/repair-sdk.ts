import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { VENV_PATH } from "./uv-script.ts";

const MODULE = join(import.meta.dirname, "../../../../runtime-images/python/whole_lines.py");
/** The line by which an SDK is known that needs the module, whatever its version. */
const SLOW_READ = "tp_read(sys.stdin.fileno(), 512)";

/**
 * Adds `whole_lines.py` to an environment whose SDK reads requests in quadratic time: 4 MB took 12 s with it. Part of a
 * shell script whose first argument is the module's source; it changes no file of the SDK.
 */
export const REPAIR_SDK = `
for reader in ${VENV_PATH}/lib/python3*/site-packages/dify_plugin/core/server/stdio/request_reader.py; do
  grep -qF '${SLOW_READ}' "$reader" 2>/dev/null || continue
  site=\${reader%/dify_plugin/*}
  printf '%s' "$1" >"$site/berth_whole_lines.py" && echo 'import berth_whole_lines' >"$site/berth_whole_lines.pth" || exit 74
  echo "the package's version of the SDK reads large requests slowly; Berth repairs that"
done
`;

export function readRepairModule(): Promise<string> {
  return readFile(MODULE, "utf8");
}
