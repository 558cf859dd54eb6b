import { readFile } from "node:fs/promises";
import { createSecureContext, getCACertificates, type SecureContext } from "node:tls";

/** PEM files, all optional. */
export interface TlsFiles {
  /** Trusted in addition to the system's authorities. */
  readonly caBundleFile?: string | undefined;
  /** Trusted instead of all others. */
  readonly rootFile?: string | undefined;
  /** The client's own certificate. */
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
}

/**
 * The trusted authorities and the client's own certificate, read once and shared by all connections: reading a hundred
 * authorities again for each costs more than the handshake. Rejects with an error that names the unusable file.
 */
export async function openTlsContext(files: TlsFiles): Promise<SecureContext> {
  const [root, bundle, cert, key] = await Promise.all(
    [files.rootFile, files.caBundleFile, files.certFile, files.keyFile].map(readPem),
  );
  const trusted = root === undefined ? [...authorities(), ...(bundle ?? [])] : root;
  try {
    return createSecureContext({
      ca: trusted,
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
    });
  } catch (cause) {
    const names = [files.certFile, files.keyFile].filter((name) => name !== undefined);
    throw new Error(`${names.join(" and ") || "the list of authorities"}: no usable certificate and key`, {
      cause,
    });
  }
}

/** Node's own, those of NODE_EXTRA_CA_CERTS, and the system's. */
function authorities(): string[] {
  return [...new Set([...getCACertificates("default"), ...getCACertificates("system")])];
}

async function readPem(file: string | undefined): Promise<string[] | undefined> {
  if (file === undefined) return undefined;
  const text = await readFile(file, "utf8").catch((cause: unknown) => {
    throw new Error(`${file} cannot be read`, { cause });
  });
  const blocks = text.match(/-----BEGIN [A-Z0-9 ]+-----[^-]+-----END [A-Z0-9 ]+-----/g);
  if (blocks === null) throw new Error(`${file} has no PEM block`);
  return blocks;
}
