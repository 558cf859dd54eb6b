import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rootCertificates } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readCaBundle } from "./ca-bundle.ts";

const [ONE = "", TWO = ""] = rootCertificates;
/** Between the first and the last day of both. */
const NOW = new Date("2027-01-01");

let folder: string;
let files = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "berth-ca-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function bundleOf(text: string, now = NOW) {
  files += 1;
  const path = join(folder, `${files}.pem`);
  await writeFile(path, text);
  return await readCaBundle({ path, now });
}

const count = (pem: string) => pem.match(/BEGIN CERTIFICATE/g)?.length;

describe("a CA bundle", () => {
  test("comes before the public authorities, each once, and contains only certificates", async () => {
    const { pem, warnings } = await bundleOf(
      `# ours\r\n${TWO.replaceAll("\n", "\r\n")}\n-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n`,
    );
    expect(count(pem)).toBe(rootCertificates.length);
    const joined = (text: string) => text.replaceAll("\n", "");
    expect(joined(pem).startsWith(joined(TWO))).toBe(true);
    expect(pem).not.toMatch(/PRIVATE|# ours|c2VjcmV0/);
    expect(warnings).toEqual([]);
  });

  test("has a digest that depends on the certificates, not on order and comments", async () => {
    const both = await bundleOf(`${ONE}\n${TWO}\n`);
    expect((await bundleOf(`# a comment\n${TWO}\n${ONE}\n${ONE}\n`)).digest).toBe(both.digest);
    expect((await bundleOf(ONE)).digest).not.toBe(both.digest);
  });

  test("that has expired or is not valid yet is used, with a warning that names it", async () => {
    const late = await bundleOf(ONE, new Date("2999-01-01"));
    expect(late.warnings).toEqual([expect.stringMatching(/^\w.*=.* has expired on 20/)]);
    expect(count(late.pem)).toBe(rootCertificates.length);
    expect((await bundleOf(ONE, new Date("1970-01-01"))).warnings).toEqual([
      expect.stringMatching(/is not valid before/),
    ]);
  });

  test.each([
    ["it holds no certificate", "hello"],
    ["it holds no certificate", ""],
    ["a certificate in it is cut or of another kind", `${ONE}\n${TWO.slice(0, 300)}`],
    ["a certificate in it is cut or of another kind", ONE.replaceAll("CERTIFICATE", "TRUSTED CERTIFICATE")],
    [
      "its certificate 2 cannot be read",
      `${ONE}\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`,
    ],
  ])("is refused with setting, path and what is accepted if %s", async (why, text) => {
    await expect(bundleOf(text)).rejects.toMatchObject({
      code: "config_invalid",
      message: `BERTH_CA_BUNDLE is "${join(folder, `${files}.pem`)}": ${why}; accepted: a readable PEM file with at least one certificate, each of them whole.`,
    });
  });

  test.each([
    ["/nowhere/ca.pem", "ENOENT"],
    ["/", "EISDIR"],
  ])("that cannot be read is refused: %s", async (path, code) => {
    await expect(readCaBundle({ path, now: NOW })).rejects.toThrow(`it cannot be read (${code})`);
  });
});

/** Two certificates that sign themselves: a server's own, and an authority of the kind that `openssl req -x509` makes. */
const LEAF = `-----BEGIN CERTIFICATE-----
MIIBgjCCASigAwIBAgIUPrTGj2lGazxxy6ccBbOmVb0zw3EwCgYIKoZIzj0EAwIw
FzEVMBMGA1UEAwwMbGVhZi5leGFtcGxlMCAXDTI2MTEyMjA0MDI1NVoYDzIxMjYx
MDI5MDQwMjU1WjAXMRUwEwYDVQQDDAxsZWFmLmV4YW1wbGUwWTATBgcqhkjOPQIB
BggqhkjOPQMBBwNCAAS04UJJt86mvWTCnA1koYhZNnJxYY0V+yW4Mi1xTgpYycOk
M5GO5Qb/CpE56sLXYexuK2gzksbuUPluyDtJZkKQo1AwTjAdBgNVHQ4EFgQUAUrQ
YEb8bhL38B6OEtQlRWPrXiEwHwYDVR0jBBgwFoAUAUrQYEb8bhL38B6OEtQlRWPr
XiEwDAYDVR0TAQH/BAIwADAKBggqhkjOPQQDAgNIADBFAiBkneB8KOW6n/v+E2+f
9w5XrUaPNCdPlBqDFHNDKIMziQIhANNNjKoulLTRxYK5V/k4Bs8gPqhATkttKJUk
3CZGWJdI
-----END CERTIFICATE-----
`;
const LAX = `-----BEGIN CERTIFICATE-----
MIIBdDCCARmgAwIBAgIUZ651HNFinPDaAlu74M3Y9ahfMFwwCgYIKoZIzj0EAwIw
DjEMMAoGA1UEAwwDbGF4MCAXDTI2MTEyMjA0MDI1NVoYDzIxMjYxMDI5MDQwMjU1
WjAOMQwwCgYDVQQDDANsYXgwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASVoqJc
tg7FDeTCYf11Alz4HSgNG/d25k4CH/t0bjJh708U0bgvc/9udebbCC4udLElyfas
pd0kgIMnKEJaA3Z1o1MwUTAdBgNVHQ4EFgQU37i3U081mw1ENSIUtG9DinYv16Mw
HwYDVR0jBBgwFoAU37i3U081mw1ENSIUtG9DinYv16MwDwYDVR0TAQH/BAUwAwEB
/zAKBggqhkjOPQQDAgNJADBGAiEAg+lhFtRggLdo8wcUbobaeLHRLHAGmMeHOC1a
Nn/phugCIQDGHT0Ex3D5mAhJPtxibHBLtiye4uptvPwWwFUT8WbW+g==
-----END CERTIFICATE-----
`;

test.each([
  [LEAF, /^CN=leaf\.example is no certificate authority\.$/],
  [
    LAX,
    /^CN=lax has no keyUsage or no critical basicConstraints: Python 3\.13 and newer refuse what it signs\.$/,
  ],
])("a certificate that programs do not accept as an authority causes a warning", async (pem, warning) => {
  expect((await bundleOf(pem)).warnings).toEqual([expect.stringMatching(warning)]);
});
