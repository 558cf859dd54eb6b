import { VARIANT_PACKAGES, type VariantPackage } from "../../src/runtime/launch/variant-table.ts";

const HEADING = "## What python-full has\n";

/** The page of runtime images with its last section, the packages of `python-full`, generated from their list. */
export function withVariantPackages(page: string): string {
  const start = page.indexOf(HEADING);
  if (start < 0) throw new Error(`the page has no heading ${HEADING}`);
  const lines = [
    HEADING,
    "<!-- Generated from runtime-images/python-full/packages by `npm run docs`. Do not edit. -->",
    "",
    "| Debian package | libraries and programs that Berth's errors name |",
    "| --- | --- |",
    ...VARIANT_PACKAGES.filter(({ variant }) => variant === "python-full").map(row),
    "",
  ];
  return page.slice(0, start) + lines.join("\n");
}

function row({ name, parts }: VariantPackage): string {
  return `| \`${name}\` | ${parts.map((part) => `\`${part}\``).join(", ")} |`;
}
