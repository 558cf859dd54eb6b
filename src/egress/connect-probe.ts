/**
 * A command that tries, inside a container of a runtime image or a plugin, which targets accept a connection. It prints
 * one line of JSON: target to `open` or the name of the error (`ECONNREFUSED` is the answer of the rules).
 */
export function connectProbe(
  targets: readonly string[],
  { timeoutMs }: { readonly timeoutMs: number },
): readonly string[] {
  return ["/usr/local/bin/python3", "-I", "-S", "-c", PROBE, String(timeoutMs), ...targets];
}

const PROBE = `
import errno, json, socket, sys
from concurrent.futures import ThreadPoolExecutor

def connect(target):
    host, _, port = target.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), int(sys.argv[1]) / 1000):
            return "open"
    except socket.gaierror as error:
        return "EAI_" + str(error.errno)
    except OSError as error:
        return errno.errorcode.get(error.errno or errno.ETIMEDOUT, str(error))

with ThreadPoolExecutor(16) as pool:
    print(json.dumps(dict(zip(sys.argv[2:], pool.map(connect, sys.argv[2:])))))
`;
