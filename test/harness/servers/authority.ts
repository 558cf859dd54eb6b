import { execFile } from "node:child_process";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

export interface Certificate {
  readonly certFile: string;
  readonly keyFile: string;
}

/** A certificate authority that only its own file makes anybody trust. */
export interface Authority extends AsyncDisposable {
  readonly caFile: string;
  /** A server's certificate for these names: `DNS:localhost`, `IP:127.0.0.1`. */
  issue(names: readonly string[]): Promise<Certificate>;
}

/** Its files can be read by every user, so that servers which give up root may use them; they are gone with it. */
export async function makeAuthority(): Promise<Authority> {
  const folder = await mkdtemp(join(tmpdir(), "berth-ca-"));
  await chmod(folder, 0o755);
  const openssl = (...args: readonly string[]) => run("openssl", [...args], { cwd: folder });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  await openssl(
    "req",
    "-x509",
    ...key,
    "-keyout",
    "ca.key",
    "-out",
    "ca.pem",
    "-days",
    "2",
    "-subj",
    "/CN=Test CA",
    // Python 3.13 refuses an authority without, and a server's certificate that does not name the key which signed it.
    "-addext",
    "keyUsage=critical,keyCertSign,cRLSign",
  );
  let issued = 0;
  return {
    caFile: join(folder, "ca.pem"),
    issue: async (names) => {
      issued += 1;
      const name = `server-${issued}`;
      await writeFile(
        join(folder, `${name}.ext`),
        `subjectAltName=${names.join(",")}\nauthorityKeyIdentifier=keyid\n`,
      );
      await openssl("req", ...key, "-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", `/CN=${name}`);
      const signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"];
      await openssl(
        ...["x509", "-req", "-in", `${name}.csr`, "-out", `${name}.pem`, "-extfile", `${name}.ext`],
        ...signing,
      );
      await chmod(join(folder, `${name}.key`), 0o644);
      return { certFile: join(folder, `${name}.pem`), keyFile: join(folder, `${name}.key`) };
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}
