import { expect, test } from "vitest";
import { type Address, createAddressPolicy } from "./address.ts";

const none = () => Promise.reject(new Error("nothing is looked up"));
const of = (...addresses: readonly string[]): readonly Address[] =>
  addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));

test.each([
  "0.0.0.0",
  "10.1.2.3",
  "100.64.0.1",
  "127.0.0.1",
  "127.255.255.254",
  "169.254.169.254",
  "172.16.0.1",
  "172.31.255.255",
  "192.0.0.8",
  "192.0.2.1",
  "192.168.1.1",
  "198.18.0.1",
  "203.0.113.9",
  "224.0.0.1",
  "239.255.255.255",
  "240.0.0.1",
  "255.255.255.255",
  "::",
  "::1",
  "::127.0.0.1",
  "::ffff:127.0.0.1",
  "::ffff:a00:1",
  "64:ff9b::a00:1",
  "64:ff9b::7f00:1",
  "64:ff9b:1::808:808",
  "100::1",
  "2001::1",
  "2001:db8::1",
  "2002:7f00:1::",
  "3fff::1",
  "fc00::1",
  "fd12:3456::1",
  "fe80::1",
  "fe80::1%eth0",
  "fec0::1",
  "ff02::1",
])("%s is refused", async (address) => {
  const policy = createAddressPolicy({ allowed: [], lookup: () => Promise.resolve(of(address)) });
  await expect(policy.resolve("a.example")).rejects.toMatchObject({
    code: "source_address_refused",
    details: { field: "host", value: "a.example" },
  });
});

test.each([
  "1.1.1.1",
  "9.255.255.255",
  "11.0.0.0",
  "100.63.255.255",
  "100.128.0.0",
  "172.15.255.255",
  "172.32.0.0",
  "223.255.255.255",
  "::ffff:1.1.1.1",
  "64:ff9b::101:101",
  "2606:4700:4700::1111",
  "2a00:1450:4001:830::200e",
])("%s is admitted", async (address) => {
  const policy = createAddressPolicy({ allowed: [], lookup: () => Promise.resolve(of(address)) });
  expect(await policy.resolve("a.example")).toEqual(of(address));
});

test("addresses that the operator lists are allowed, and no others", async () => {
  const policy = createAddressPolicy({ allowed: ["10.1.0.0/16", "fd00::/8", "127.0.0.1"], lookup: none });
  for (const address of ["10.1.255.1", "fd00::1", "127.0.0.1", "::ffff:10.1.0.1"])
    expect(await policy.resolve(address)).toMatchObject([{ address }]);
  for (const address of ["10.2.0.1", "fe80::1", "127.0.0.2"])
    await expect(policy.resolve(address)).rejects.toMatchObject({ code: "source_address_refused" });
});

test("only the public addresses of a name are allowed; a literal address is not looked up", async () => {
  const asked: string[] = [];
  const lookup = (host: string) => {
    asked.push(host);
    return Promise.resolve(of("10.0.0.1", "1.1.1.1", "::1"));
  };
  const policy = createAddressPolicy({ allowed: [], lookup });
  expect(await policy.resolve("a.example")).toEqual(of("1.1.1.1"));
  expect(await policy.resolve("1.1.1.1")).toEqual(of("1.1.1.1"));
  expect(asked).toEqual(["a.example"]);
});

test("a refusal does not show the private addresses of a name", async () => {
  const policy = createAddressPolicy({ allowed: [], lookup: () => Promise.resolve(of("10.20.30.40")) });
  const refusal = await policy.resolve("db.internal").catch((error: unknown) => error);
  expect(
    JSON.stringify(refusal instanceof Error && [refusal.message, Reflect.get(refusal, "details")]),
  ).not.toContain("10.20.30.40");
});
