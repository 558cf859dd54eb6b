/** Hosts that are written otherwise than they are meant: whoever names one gets no connection inside the network. */
import { createSecureContext } from "node:tls";
import { expect, test } from "vitest";
import { NO_PROXIES } from "../domain/proxy.ts";
import { Source } from "../domain/source.ts";
import { type Address, createAddressPolicy } from "./address.ts";
import { createHttpClient } from "./http-client.ts";

const INSIDE: Readonly<Record<string, readonly string[]>> = {
  localhost: ["127.0.0.1", "::1"],
  "localhost.": ["127.0.0.1"],
  "metadata.google.internal": ["169.254.169.254"],
  "127.0.0.1.nip.example": ["127.0.0.1"],
  "mapped.example": ["::ffff:10.0.0.1"],
};

const lookup = (host: string): Promise<readonly Address[]> => {
  const found = INSIDE[host];
  if (found === undefined) return Promise.reject(new Error(`${host} is looked up`));
  return Promise.resolve(found.map((address) => ({ address, family: address.includes(":") ? 6 : 4 })));
};

test.each([
  "127.0.0.1",
  "127.1",
  "127.0.1",
  "2130706433",
  "0x7f000001",
  "0x7f.0.0.1",
  "0177.0.0.1",
  "017700000001",
  "0",
  "0.0.0.0",
  "00000.0",
  "%31%32%37.0.0.1",
  "①②⑦.⓪.⓪.①",
  "127。0。0。1",
  "169.254.169.254",
  "2852039166",
  "0xa9fea9fe",
  "0251.0376.0251.0376",
  "10.0.0.1",
  "[::]",
  "[::1]",
  "[0:0:0:0:0:0:0:1]",
  "[::ffff:127.0.0.1]",
  "[::ffff:7f00:1]",
  "[::127.0.0.1]",
  "[64:ff9b::169.254.169.254]",
  "[64:ff9b:1::a00:1]",
  "[2002:a9fe:a9fe::1]",
  "[2001:0:a9fe:a9fe::]",
  "[fe80::1]",
  "[fd00:ec2::254]",
  "[ff02::1]",
  ...Object.keys(INSIDE),
])("no request is sent to %s", async (host) => {
  const client = createHttpClient({
    policy: createAddressPolicy({ allowed: [], lookup }),
    proxies: NO_PROXIES,
    trust: createSecureContext(),
    redirectsMax: 3,
  });
  for (const scheme of ["https", "http"]) {
    const asked = client.get({ url: `${scheme}://${host}/x` }, AbortSignal.timeout(60_000));
    await expect(asked).rejects.toMatchObject({ code: "source_address_refused" });
  }
});

test.each([
  ["with a user", "https://user@a.example/x"],
  ["with a password", "https://user:password@a.example/x"],
  ["whose user looks like a host", "https://a.example@127.0.0.1/x"],
  ["whose user is escaped", "https://a%40b@127.0.0.1/x"],
  ["that is not encrypted", "http://a.example/x"],
  ["of a file", "file:///etc/passwd"],
  ["of a socket", "unix:/var/run/docker.sock"],
  ["of data", "data:text/plain,x"],
  ["without slashes", "https:a.example/x"],
  ["with a backslash", "https://a.example\\@127.0.0.1/x"],
  ["with a line end", "https://a.example/x\r\nHost: 127.0.0.1"],
  ["with a tab", "https://a.exa\tmple/x"],
  ["with white space before it", " https://a.example/x"],
  ["with a fragment", "https://a.example/x#y"],
  ["without a host", "https:///x"],
  ["whose port is invalid", "https://a.example:99999/x"],
  ["of 3,000 characters", `https://a.example/${"x".repeat(3000)}`],
])("a source refuses a URL %s", (_, url) => {
  expect(Source.safeParse({ type: "url", url, sha256: "a".repeat(64) }).success).toBe(false);
});

test.each([
  ["repo", "../admin"],
  ["repo", "acme/.."],
  ["repo", "acme/echo/../../x"],
  ["repo", "acme/echo?x="],
  ["repo", "@127.0.0.1/x"],
  ["release", "../../../user"],
  ["release", ".."],
  ["asset", "../x"],
  ["asset", ".."],
  ["asset", "a\\b"],
])("a release with the %s %j is refused", (field, value) => {
  const release = { type: "github", repo: "acme/echo", release: "v1", asset: "a.difypkg", [field]: value };
  expect(Source.safeParse(release).success).toBe(false);
});
