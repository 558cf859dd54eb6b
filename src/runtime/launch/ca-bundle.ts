/**
 * The operator's certificate authorities for builds and plugins. They are added to the public ones: the variables that
 * name such a file replace a program's own list, and plugins must still reach public services.
 */
import { createHash, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { rootCertificates } from "node:tls";
import { Fault } from "../../domain/fault.ts";

export interface CaBundle {
  /** The operator's authorities first, then the public ones from Node; only certificates. */
  readonly pem: string;
  /** Digest of the operator's authorities in any order: neither comments nor a new Node change it. */
  readonly digest: string;
  /** Certificates in the file that programs will not trust, one sentence each. */
  readonly warnings: readonly string[];
}

const ACCEPTED = "a readable PEM file with at least one certificate, each of them whole";
const BLOCK = /-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]*)-----END CERTIFICATE-----/g;
const HEADER = /-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----/g;

/** Throws `config_invalid`, which names the setting, the path and what is wrong with the file. */
export async function readCaBundle({
  path,
  now,
}: {
  readonly path: string;
  readonly now: Date;
}): Promise<CaBundle> {
  const text = await readFile(path, "latin1").catch((cause: unknown) => {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unreadable";
    throw refused(path, `it cannot be read (${code})`);
  });
  const bodies = new Set([...text.matchAll(BLOCK)].map(([, body = ""]) => body.replace(/\s/g, "")));
  const headers = [...text.matchAll(HEADER)].length;
  if (headers === 0) throw refused(path, "it holds no certificate");
  if ([...text.matchAll(BLOCK)].length !== headers)
    throw refused(path, "a certificate in it is cut or of another kind");
  const own = [...bodies].map((body, index) =>
    parse(body, () => refused(path, `its certificate ${index + 1} cannot be read`)),
  );
  const digest = createHash("sha256").update(
    own
      .map(({ fingerprint256 }) => fingerprint256)
      .sort()
      .join("\n"),
  );
  const publicOnes = rootCertificates.map(bodyOf).filter((body) => !bodies.has(body));
  return {
    pem: [...bodies, ...publicOnes].map(format).join(""),
    digest: digest.digest("hex"),
    warnings: own.flatMap((certificate) => doubts(certificate, now)),
  };
}

function parse(body: string, refusal: () => Fault): X509Certificate {
  try {
    return new X509Certificate(Buffer.from(body, "base64"));
  } catch {
    throw refusal();
  }
}

/** The DER prefixes of a key usage and of a critical basic constraint: Node's parser shows neither. */
const KEY_USAGE = Buffer.from([0x06, 0x03, 0x55, 0x1d, 0x0f]);
const CRITICAL_CONSTRAINTS = Buffer.from([0x06, 0x03, 0x55, 0x1d, 0x13, 0x01, 0x01, 0xff]);

function doubts({ subject, ca, raw, validFromDate, validToDate }: X509Certificate, now: Date): string[] {
  const name = subject?.replaceAll("\n", ", ") ?? "(no subject)";
  if (validToDate < now) return [`${name} has expired on ${validToDate.toISOString()}.`];
  if (validFromDate > now) return [`${name} is not valid before ${validFromDate.toISOString()}.`];
  if (!ca) return [`${name} is no certificate authority.`];
  if (raw.includes(KEY_USAGE) && raw.includes(CRITICAL_CONSTRAINTS)) return [];
  return [
    `${name} has no keyUsage or no critical basicConstraints: Python 3.13 and newer refuse what it signs.`,
  ];
}

function refused(path: string, why: string): Fault {
  return new Fault(
    "config_invalid",
    `BERTH_CA_BUNDLE is ${JSON.stringify(path)}: ${why}; accepted: ${ACCEPTED}.`,
  );
}

function bodyOf(pem: string): string {
  return pem.replace(/-----[A-Z ]+-----|\s/g, "");
}

function format(body: string): string {
  const lines = body.match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
}
