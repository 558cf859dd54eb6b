/**
 * Credentials of providers. Each write locks the row of their installation first, so that a provider has exactly one
 * default whatever is written at the same time.
 */
import type { Actor, AuditKind } from "../../../domain/audit.ts";
import {
  CREDENTIALS_MAX,
  CredentialId,
  type CredentialKind,
  credentialNotFound,
} from "../../../domain/credential.ts";
import { Fault } from "../../../domain/fault.ts";
import type { InstallationId, TenantId } from "../../../domain/ids.ts";
import type {
  CredentialAt,
  CredentialProvider,
  CredentialRecord,
  CredentialRows,
  NewCredential,
} from "../../contracts/credentials.ts";
import { type Database, jsonValue, type Tx, uuid7 } from "../client/database.ts";
import { PLACE_AT, type PlacedRow, pageSql, toPage } from "../client/page.ts";
import type * as rows from "../generated/client.ts";
import { Prisma } from "../generated/client.ts";
import { holdKey, holdTenant, writeEvent } from "../tenants/audit.ts";

export function createCredentialRows(db: Database): CredentialRows {
  return {
    ...createReads(db),
    newId: () => CredentialId.parse(uuid7()),
    create: (credential) => db.transaction((tx) => create(tx, credential)),
    replace: (change) => db.transaction((tx) => replace(tx, change)),
    makeDefault: (at) => db.transaction((tx) => makeDefault(tx, at)),
    remove: (at) => db.transaction((tx) => remove(tx, at)),
    reseal: ({ id, sealed, expected }) =>
      db.run(async (prisma) => {
        const { count } = await prisma.credential.updateMany({
          where: { id, sealed: expected },
          data: { sealed },
        });
        return count > 0;
      }),
  };
}

function createReads(db: Database): Pick<CredentialRows, "find" | "list" | "ofProvider" | "sealedOtherwise"> {
  return {
    find: ({ tenantId, id }) =>
      db.run(async (prisma) => {
        const row = await prisma.credential.findFirst({ where: { id, tenantId } });
        return row === null ? undefined : toRecord(row);
      }),
    list: ({ tenantId, pluginId, kind, provider }, page) =>
      db.run(async (prisma) => {
        const conditions = [
          Prisma.sql`tenant_id = ${tenantId}::uuid`,
          pluginId === undefined ? Prisma.empty : Prisma.sql`AND plugin_id = ${pluginId}`,
          kind === undefined ? Prisma.empty : Prisma.sql`AND kind = ${kind}`,
          provider === undefined ? Prisma.empty : Prisma.sql`AND provider = ${provider}`,
        ];
        const placed = await prisma.$queryRaw<PlacedRow[]>`
          SELECT id, ${PLACE_AT} FROM berth_credentials
          WHERE ${Prisma.join(conditions, " ")} ${pageSql(page, Prisma.sql`id`, Prisma.sql`uuid`)}`;
        const found = await prisma.credential.findMany({ where: { id: { in: placed.map(({ id }) => id) } } });
        return toPage(placed, page, new Map(found.map((row) => [row.id, row])), toRecord);
      }),
    ofProvider: ({ tenantId, pluginId, kind, provider }) =>
      db.run(async (prisma) => {
        const found = await prisma.credential.findMany({
          where: { tenantId, pluginId, kind, provider },
          orderBy: [{ createdAt: "asc" }, { id: "asc" }],
        });
        return found.map(toRecord);
      }),
    sealedOtherwise: (keyId, after, limit) =>
      db.run(async (prisma) => {
        const found = await prisma.credential.findMany({
          where: {
            NOT: { sealed: { startsWith: `berth:1:${keyId}:` } },
            ...(after !== undefined && { id: { gt: after } }),
          },
          orderBy: { id: "asc" },
          take: limit,
        });
        return found.map(toRecord);
      }),
  };
}

async function create(tx: Tx, { by, ...credential }: NewCredential): Promise<CredentialRecord> {
  const { id, installationId, tenantId, pluginId, kind, provider, model, name, sealed } = credential;
  if (!(await hold(tx, { tenantId, installationId, by })))
    throw new Fault("installation_not_found", `The tenant has no installation of ${pluginId}.`, {
      details: {
        field: "provider",
        value: `${pluginId}/${provider}`,
        accepted: "one of an installed plugin",
      },
    });
  const all = await tx.credential.findMany({ where: { installationId, kind, provider } });
  if (all.some((other) => other.name === name))
    throw new Fault("conflict", `The provider has a credential named ${JSON.stringify(name)} already.`, {
      details: { field: "name", value: name, accepted: "another name, or PUT of the existing one" },
    });
  if (all.length >= CREDENTIALS_MAX)
    throw new Fault("conflict", `The provider has ${CREDENTIALS_MAX} credentials, the most that are kept.`, {
      details: { field: "provider", value: `${pluginId}/${provider}`, accepted: "fewer credentials" },
    });
  const of = { model: model?.model ?? "", modelType: model?.modelType ?? "" };
  const row = await tx.credential.create({
    data: {
      ...{ id, installationId, tenantId, pluginId, kind, provider, name, sealed, ...of },
      fields: jsonValue(credential.fields),
      isDefault: !all.some((other) => isSameModel(other, of)),
    },
  });
  return await finish(tx, row, by, "credential.create");
}

async function replace(
  tx: Tx,
  { fields, sealed, by, ...at }: Parameters<CredentialRows["replace"]>[0],
): Promise<CredentialRecord> {
  const { id } = await holdOne(tx, at, by);
  const data = { fields: jsonValue(fields), sealed, updatedAt: new Date() };
  return await finish(tx, await tx.credential.update({ where: { id }, data }), by, "credential.replace");
}

async function makeDefault(
  tx: Tx,
  { by, ...at }: Parameters<CredentialRows["makeDefault"]>[0],
): Promise<CredentialRecord> {
  const row = await holdOne(tx, at, by);
  if (row.isDefault) return toRecord(row);
  await tx.credential.updateMany({ where: { ...besides(row), isDefault: true }, data: { isDefault: false } });
  const made = await tx.credential.update({ where: { id: row.id }, data: { isDefault: true } });
  return await finish(tx, made, by, "credential.default");
}

async function remove(tx: Tx, { by, ...at }: Parameters<CredentialRows["remove"]>[0]): Promise<void> {
  const row = await holdOne(tx, at, by);
  const others = row.isDefault ? await tx.credential.findMany({ where: besides(row) }) : [];
  if (others.length > 0) {
    const accepted = others.map(({ name }) => name);
    throw new Fault(
      "conflict",
      `${row.name} is the default; make another one the default first: ${accepted.join(", ")}.`,
      { details: { field: "id", value: row.id, accepted } },
    );
  }
  await tx.credential.delete({ where: { id: row.id } });
  await finish(tx, row, by, "credential.remove");
}

/** Those of the same provider and model. */
function besides({ id, installationId, kind, provider, model, modelType }: rows.Credential) {
  return { installationId, kind, provider, model, modelType, id: { not: id } };
}

function isSameModel(
  { model, modelType }: Pick<rows.Credential, "model" | "modelType">,
  of: Pick<rows.Credential, "model" | "modelType">,
): boolean {
  return model === of.model && modelType === of.modelType;
}

async function holdOne(tx: Tx, at: CredentialAt, by: Actor | undefined): Promise<rows.Credential> {
  const { id, tenantId } = at;
  const seen = await tx.credential.findFirst({ where: { id, tenantId } });
  if (seen === null) throw credentialNotFound(id);
  await hold(tx, { tenantId, installationId: seen.installationId, by });
  const row = await tx.credential.findFirst({ where: { id, tenantId } });
  if (row === null) throw credentialNotFound(id);
  return row;
}

/** Locks tenant, key and installation, in the order of all writes. Answers whether the installation is there. */
async function hold(
  tx: Tx,
  {
    tenantId,
    installationId,
    by,
  }: { readonly tenantId: string; readonly installationId: string; readonly by: Actor | undefined },
): Promise<boolean> {
  await holdTenant(tx, tenantId);
  await holdKey(tx, by);
  const held = await tx.$queryRaw<unknown[]>`
    SELECT 1 AS one FROM berth_installations
    WHERE id = ${installationId}::uuid AND tenant_id = ${tenantId}::uuid FOR UPDATE`;
  return held.length > 0;
}

const SUBJECT_MAX = 255;

async function finish(
  tx: Tx,
  row: rows.Credential,
  by: Actor | undefined,
  kind: AuditKind,
): Promise<CredentialRecord> {
  const { tenantId, installationId, pluginId, provider, name } = row;
  const subject = `${pluginId}/${provider} ${name}`.slice(0, SUBJECT_MAX);
  await writeEvent(tx, { kind, by, tenantId, installationId, subject, result: "done" });
  return toRecord(row);
}

function toRecord(row: rows.Credential): CredentialRecord {
  const of: CredentialProvider = {
    tenantId: row.tenantId as TenantId,
    pluginId: row.pluginId,
    kind: row.kind as CredentialKind,
    provider: row.provider,
  };
  return {
    ...of,
    id: row.id as CredentialId,
    installationId: row.installationId as InstallationId,
    model: row.model === "" ? undefined : { model: row.model, modelType: row.modelType },
    name: row.name,
    fields: row.fields as string[],
    sealed: row.sealed,
    isDefault: row.isDefault,
    createdAt: row.createdAt,
    updatedAt: row.updatedAt,
  };
}
