/** Packages and bundles as platforms upload them: a form with one file. */
import type { PackageUploads } from "../../../installation/contracts.ts";
import type { BundleUploads } from "../../../installation/packages/bundle-uploads.ts";
import type { Store } from "../../../store/store.ts";
import { type FormFile, openFormFile } from "../../bodies/form-file.ts";
import { bundleDetailJson } from "../../routes/bundles/json.ts";
import type { DifyDoor, DifyInput } from "../door.ts";
import { NOTHING } from "../inputs.ts";
import { verificationJson } from "./packages.ts";
import { bundleRefusal, FORM_REFUSALS, packageRefusal } from "./upload-refusals.ts";

const UPLOAD = "/plugin/:tenant_id/management/install/upload";

interface UploadDeps {
  readonly uploads: PackageUploads;
  readonly bundles: BundleUploads;
  readonly store: Pick<Store, "packages">;
  readonly settings: { readonly packageBytesMax: number };
}

export function addUploads(door: DifyDoor, deps: UploadDeps): void {
  const route = { method: "POST", gate: "key", input: NOTHING } as const;
  const { packageBytesMax } = deps.settings;
  door.add({ ...route, path: `${UPLOAD}/package` }, async (asked) => {
    const form = await openFormFile(asked.context.req.raw, "dify_pkg", FORM_REFUSALS);
    const uploaded = await deps.uploads
      .receive(form.content, uploaderOf(asked, form), asked.signal)
      .catch((error: unknown) => {
        throw packageRefusal(error, packageBytesMax);
      });
    const { stored, trust } = uploaded;
    const isVerified = trust.verdict === "verified";
    return {
      unique_identifier: stored.identifier,
      manifest: { ...stored.declaration, verified: isVerified },
      verification: verificationJson({ isVerified, category: trust.category }),
    };
  });
  door.add({ ...route, path: `${UPLOAD}/bundle` }, async (asked) => {
    const form = await openFormFile(asked.context.req.raw, "dify_bundle", FORM_REFUSALS);
    const uploaded = await deps.bundles
      .receive(form.content, uploaderOf(asked, form), asked.signal)
      .catch((error: unknown) => {
        throw bundleRefusal(error, packageBytesMax);
      });
    return (await bundleDetailJson(uploaded.stored, deps.store)).dependencies;
  });
}

function uploaderOf({ tenantId, by }: DifyInput<unknown>, form: FormFile) {
  return {
    tenantId,
    by,
    isVendorHeld: true,
    // a form may have this field after the file
    get verifySignature() {
      return form.field("verify_signature") === "true";
    },
  };
}
