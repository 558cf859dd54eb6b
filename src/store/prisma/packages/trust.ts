import { createHash } from "node:crypto";
import { Fault } from "../../../domain/fault.ts";
import type { SignatureCategory, SignaturePolicy, TrustedKey } from "../../../domain/trust.ts";
import type { Admission, StoredSignature, TrustRows } from "../../contracts/trust.ts";
import { type Database, jsonText, jsonValue } from "../client/database.ts";
import { PLACE_AT, type PlacedRow, pageSql, toPage } from "../client/page.ts";
import type * as rows from "../generated/client.ts";
import { Prisma } from "../generated/client.ts";
import { holdKey, holdTenant, writeEvent } from "../tenants/audit.ts";

export function createTrustRows(db: Database): TrustRows {
  return { ...createKeys(db), ...createPolicies(db), ...createAdmissions(db), ...createSignatures(db) };
}

function createKeys(db: Database): Pick<TrustRows, "keys" | "addKey" | "removeKey"> {
  return {
    keys: () =>
      db.run(async (prisma) => {
        const rows = await prisma.trustedKey.findMany({ orderBy: [{ createdAt: "asc" }, { id: "asc" }] });
        return rows.map(toTrustedKey);
      }),
    addKey: ({ id, name, pem }, by) =>
      db.transaction(async (tx) => {
        await holdKey(tx, by);
        const { count } = await tx.trustedKey.createMany({ data: { id, name, pem }, skipDuplicates: true });
        if (count > 0) await writeEvent(tx, { kind: "trusted_key.add", by, subject: id, result: "done" });
        const key = toTrustedKey(await tx.trustedKey.findUniqueOrThrow({ where: { id } }));
        return { created: count > 0, key };
      }),
    removeKey: (id, by) =>
      db.transaction(async (tx) => {
        await holdKey(tx, by);
        const row = await tx.trustedKey.findUnique({ where: { id } });
        const { count } = await tx.trustedKey.deleteMany({ where: { id } });
        if (row === null || count === 0) throw new Fault("not_found", `There is no trusted key ${id}.`);
        await writeEvent(tx, { kind: "trusted_key.remove", by, subject: id, result: "done" });
        return toTrustedKey(row);
      }),
  };
}

function createPolicies(db: Database): Pick<TrustRows, "policyOf" | "setPolicy" | "record"> {
  return {
    policyOf: (tenantId) =>
      db.run(async (prisma) => toPolicy(await prisma.signaturePolicy.findUnique({ where: { tenantId } }))),
    setPolicy: (tenantId, policy, by) =>
      db.transaction(async (tx) => {
        await holdTenant(tx, tenantId);
        await holdKey(tx, by);
        const changed =
          policy === undefined
            ? await tx.$executeRaw`DELETE FROM berth_signature_policies WHERE tenant_id = ${tenantId}::uuid`
            : await tx.$executeRaw`
                INSERT INTO berth_signature_policies AS known (tenant_id, policy)
                VALUES (${tenantId}::uuid, ${policy})
                ON CONFLICT (tenant_id) DO UPDATE SET policy = excluded.policy, updated_at = clock_timestamp()
                WHERE known.policy <> excluded.policy`;
        if (changed === 0) return;
        const subject = policy ?? "the instance's";
        await writeEvent(tx, { kind: "signature_policy.set", by, tenantId, subject, result: "done" });
      }),
    record: (id, decision) =>
      db.run(async (prisma) => {
        await prisma.$executeRaw`
          UPDATE berth_installations SET trust = ${jsonText(decision)}::jsonb, updated_at = clock_timestamp()
          WHERE id = ${id}::uuid AND identifier = ${decision.identifier}`;
      }),
  };
}

function createAdmissions(
  db: Database,
): Pick<TrustRows, "admission" | "admissions" | "admit" | "removeAdmission"> {
  return {
    admission: (checksum) =>
      db.run(async (prisma) => {
        const row = await prisma.admission.findUnique({ where: { checksum } });
        return row === null ? undefined : toAdmission(row);
      }),
    admissions: (page) =>
      db.run(async (prisma) => {
        const placed = await prisma.$queryRaw<PlacedRow[]>`
          SELECT checksum AS id, ${PLACE_AT} FROM berth_admissions
          WHERE true ${pageSql(page, Prisma.sql`checksum`, Prisma.sql`text`)}`;
        const rows = await prisma.admission.findMany({
          where: { checksum: { in: placed.map(({ id }) => id) } },
        });
        return toPage(placed, page, new Map(rows.map((row) => [row.checksum, row])), toAdmission);
      }),
    admit: ({ checksum, note }, by) =>
      db.transaction(async (tx) => {
        await holdKey(tx, by);
        const { count } = await tx.admission.createMany({ data: { checksum, note }, skipDuplicates: true });
        if (count > 0) await writeEvent(tx, { kind: "admission.add", by, subject: checksum, result: "done" });
        const admission = toAdmission(await tx.admission.findUniqueOrThrow({ where: { checksum } }));
        return { created: count > 0, admission };
      }),
    removeAdmission: (checksum, by) =>
      db.transaction(async (tx) => {
        await holdKey(tx, by);
        const row = await tx.admission.findUnique({ where: { checksum } });
        const { count } = await tx.admission.deleteMany({ where: { checksum } });
        if (row === null || count === 0)
          throw new Fault("not_found", `No package with the digest ${checksum} is admitted.`);
        await writeEvent(tx, { kind: "admission.remove", by, subject: checksum, result: "done" });
        return toAdmission(row);
      }),
  };
}

function createSignatures(db: Database): Pick<TrustRows, "signaturesOf" | "addSignature"> {
  return {
    signaturesOf: (identifier) =>
      db.run(async (prisma) => {
        const rows = await prisma.signature.findMany({
          where: { identifier },
          orderBy: [{ createdAt: "desc" }, { digest: "desc" }],
        });
        return rows.map(toSignature);
      }),
    addSignature: ({ identifier, keyId, category, time, signature, entries }, by) =>
      db.transaction(async (tx) => {
        const digest = createHash("sha256").update(signature).digest("hex");
        const { count } = await tx.signature.createMany({
          data: {
            identifier,
            digest,
            keyId,
            category: category ?? null,
            signature,
            signedTime: time,
            entries: jsonValue(entries),
          },
          skipDuplicates: true,
        });
        if (count > 0)
          await writeEvent(tx, { kind: "signature.add", by, subject: identifier, result: "done" });
        return count > 0;
      }),
  };
}

function toTrustedKey({ id, name, pem, createdAt }: rows.TrustedKey): TrustedKey {
  return { id, name, pem, origin: "api", createdAt };
}

function toPolicy(row: rows.SignaturePolicy | null): SignaturePolicy | undefined {
  return row === null ? undefined : (row.policy as SignaturePolicy);
}

function toAdmission({ checksum, note, createdAt }: rows.Admission): Admission {
  return { checksum, note, createdAt };
}

function toSignature(row: rows.Signature): StoredSignature {
  return {
    identifier: row.identifier,
    keyId: row.keyId,
    category: (row.category ?? undefined) as SignatureCategory | undefined,
    time: Number(row.signedTime),
    signature: row.signature,
    entries: row.entries as string[],
    createdAt: row.createdAt,
  };
}
