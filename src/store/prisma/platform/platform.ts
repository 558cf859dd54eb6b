/** The contract is `store/contracts/platform.ts`. The daemon's columns allow NULL: rows without tenant, plugin or identifier are skipped. */
import type { TenantId } from "../../../domain/ids.ts";
import type { DeclarationJson } from "../../../domain/package.ts";
import type {
  NumberedPage,
  PlatformBinding,
  PlatformInstallation,
  PlatformProvider,
  PlatformProviderKind,
  PlatformRows,
} from "../../contracts/platform.ts";
import type { Database } from "../client/database.ts";
import type * as rows from "../generated/client.ts";
import { Prisma, type PrismaClient } from "../generated/client.ts";
import { toJsonObject, toPlatformInstallation, toTimes } from "./platform-row.ts";
import { providerTable } from "./provider-rows.ts";

export function createPlatformRows(db: Database): PlatformRows {
  return {
    findInstallation: (tenantId, pluginId) =>
      db.run(async (prisma) => {
        const found = await prisma.pluginInstallation.findFirst({ where: { tenantId, pluginId } });
        return found === null ? undefined : toPlatformInstallation(found);
      }),
    findInstallationById: (tenantId, id) =>
      db.run(async (prisma) => {
        if (!UUID.test(id)) return undefined;
        const found = await prisma.pluginInstallation.findFirst({ where: { tenantId, id } });
        return found === null ? undefined : toPlatformInstallation(found);
      }),
    listInstallations: (tenantId, page) =>
      db.run(async (prisma) => {
        const found = await prisma.pluginInstallation.findMany({
          where: { tenantId, ...WHOLE },
          orderBy: NEWEST_FIRST,
          ...placeOf(page),
        });
        return toInstallations(found);
      }),
    countInstallations: (tenantId) =>
      db.run((prisma) => prisma.pluginInstallation.count({ where: { tenantId, ...WHOLE } })),
    installationsOf: (tenantId, pluginIds) =>
      db.run(async (prisma) => {
        const where = { tenantId, pluginId: { in: [...pluginIds] } };
        const found = await prisma.pluginInstallation.findMany({ where, orderBy: NEWEST_FIRST });
        return toInstallations(found);
      }),
    listProviders: (tenantId, kind, page) =>
      db.run((prisma) => {
        const { skip, take } = placeOf(page);
        return selectProviders(prisma, {
          tenantId,
          kind,
          rest: Prisma.sql`${NEWEST} LIMIT ${take} OFFSET ${skip}`,
        });
      }),
    findProvider: (tenantId, kind, pluginId) =>
      db.run(async (prisma) => {
        const rest = Prisma.sql`AND plugin_id = ${pluginId} ORDER BY id LIMIT 1`;
        return (await selectProviders(prisma, { tenantId, kind, rest })).at(0);
      }),
    providersOf: (tenantId, kind, pluginIds) =>
      db.run((prisma) => {
        const rest = Prisma.sql`AND plugin_id = ANY(${[...pluginIds]}::text[]) ${NEWEST}`;
        return selectProviders(prisma, { tenantId, kind, rest });
      }),
    pluginIds: (tenantId, kind) =>
      db.run(async (prisma) => {
        const found = await prisma.$queryRaw<{ plugin_id: string }[]>`
          SELECT plugin_id FROM ${providerTable(kind)}
          WHERE tenant_id = ${tenantId}::uuid AND plugin_id IS NOT NULL ${NEWEST}`;
        return [...new Set(found.map((row) => row.plugin_id))];
      }),
    modelBindings: (tenantId) => db.run((prisma) => modelBindings(prisma, tenantId)),
    isInstalledAnywhere: (identifier) =>
      db.run(async (prisma) => {
        const count = await prisma.plugin.count({ where: { pluginUniqueIdentifier: identifier } });
        return count > 0;
      }),
    identifiersShowing: (assetId) =>
      db.run(async (prisma) => {
        const found = await prisma.$queryRaw<{ identifier: string }[]>`
          SELECT plugin_unique_identifier AS identifier FROM plugin_declarations
          WHERE plugin_unique_identifier IS NOT NULL AND strpos(declaration, ${assetId}) > 0
          UNION SELECT identifier FROM berth_packages WHERE strpos(declaration, ${assetId}) > 0
          LIMIT ${SHOWING_MAX}`;
        return found.map(({ identifier }) => identifier);
      }),
    declarations: (identifiers) => db.run((prisma) => declarations(prisma, identifiers)),
  };
}

/** How many packages with one icon are tried: one readable archive is enough. */
const SHOWING_MAX = 5;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const WHOLE = { pluginId: { not: null }, pluginUniqueIdentifier: { not: null } };
const NEWEST_FIRST: rows.Prisma.PluginInstallationOrderByWithRelationInput[] = [
  { createdAt: { sort: "desc", nulls: "last" } },
  { id: "desc" },
];
const NEWEST = Prisma.sql`ORDER BY created_at DESC NULLS LAST, id DESC`;

/** An offset may have 64 bits, as in the database. */
function placeOf({ page, pageSize }: NumberedPage): { readonly skip: number; readonly take: number } {
  return { skip: Math.min((page - 1) * pageSize, Number.MAX_SAFE_INTEGER), take: pageSize };
}

async function modelBindings(prisma: PrismaClient, tenantId: TenantId): Promise<PlatformBinding[]> {
  const found = await prisma.pluginInstallation.findMany({
    where: { tenantId, ...WHOLE },
    orderBy: NEWEST_FIRST,
  });
  const providers = await selectProviders(prisma, { tenantId, kind: "model", rest: Prisma.sql`ORDER BY id` });
  return toInstallations(found).flatMap((installation) => {
    const { pluginId, identifier } = installation;
    const names = providers
      .filter((row) => row.pluginId === pluginId && row.identifier === identifier)
      .map(({ provider }) => provider);
    return [...new Set(names)].map((provider) => ({ provider, installation }));
  });
}

interface ProviderRow {
  readonly id: string;
  readonly created_at: Date | null;
  readonly updated_at: Date | null;
  readonly tenant_id: string;
  readonly provider: string;
  readonly plugin_unique_identifier: string;
  readonly plugin_id: string;
}

async function selectProviders(
  prisma: PrismaClient,
  asked: { readonly tenantId: TenantId; readonly kind: PlatformProviderKind; readonly rest: Prisma.Sql },
): Promise<PlatformProvider[]> {
  const found = await prisma.$queryRaw<ProviderRow[]>`
    SELECT id, created_at, updated_at, tenant_id, provider, plugin_unique_identifier, plugin_id
    FROM ${providerTable(asked.kind)}
    WHERE tenant_id = ${asked.tenantId}::uuid AND plugin_id IS NOT NULL AND plugin_unique_identifier IS NOT NULL
    ${asked.rest}`;
  return found.map((row) => ({
    id: row.id,
    tenantId: asked.tenantId,
    pluginId: row.plugin_id,
    identifier: row.plugin_unique_identifier,
    provider: row.provider,
    ...toTimes({ createdAt: row.created_at, updatedAt: row.updated_at }),
  }));
}

async function declarations(
  prisma: PrismaClient,
  identifiers: readonly string[],
): Promise<ReadonlyMap<string, DeclarationJson>> {
  const where = { pluginUniqueIdentifier: { in: [...new Set(identifiers)] } };
  const remote = await prisma.plugin.findMany({
    where: { ...where, installType: "remote" },
    select: { pluginUniqueIdentifier: true, remoteDeclaration: true },
  });
  const stored = await prisma.pluginDeclaration.findMany({
    where,
    select: { pluginUniqueIdentifier: true, declaration: true },
  });
  return new Map([
    ...remote.flatMap((row) => readable(row.pluginUniqueIdentifier, row.remoteDeclaration)),
    ...stored.flatMap((row) => readable(row.pluginUniqueIdentifier, row.declaration)),
  ]);
}

function readable(identifier: string | null, text: string | null): [string, DeclarationJson][] {
  const found = identifier === null ? undefined : toJsonObject(text);
  return identifier === null || found === undefined ? [] : [[identifier, found]];
}

function toInstallations(found: readonly rows.PluginInstallation[]): PlatformInstallation[] {
  return found.flatMap((row) => toPlatformInstallation(row) ?? []);
}
