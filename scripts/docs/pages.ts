/** What a Markdown page of this repository refers to: headings, relative links, paths of files. */

/** The anchors of a page's headings, as GitHub makes them: a repeated heading gets `-1`, `-2`, ... */
export function anchorsOf(page: string): ReadonlySet<string> {
  const seen = new Map<string, number>();
  return new Set(
    headings(page).map((heading) => {
      const anchor = heading
        .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, "")
        .trim()
        .replace(/\s/g, "-");
      const count = seen.get(anchor) ?? 0;
      seen.set(anchor, count + 1);
      return count === 0 ? anchor : `${anchor}-${count}`;
    }),
  );
}

/** Targets of links to this repository: no URLs, nothing in code. */
export function relativeLinks(page: string): readonly string[] {
  const text = withoutFences(page).replace(/`[^`\n]*`/g, "");
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = ""]) => target)
    .filter((target) => !/^[a-z]+:/i.test(target));
}

const FOLDERS = "src|test|scripts|docs|prisma|runtime-images|examples|bench";

/** Every path from the root of the repository that the page names, in text, code and pictures. */
export function pathsNamed(page: string): readonly string[] {
  const named = page.matchAll(new RegExp(`(?<![\\w/.-])(?:${FOLDERS})/[\\w./*-]*`, "g"));
  return [...new Set([...named].map(([path]) => path.replace(/[.]$/, "")))];
}

function headings(page: string): readonly string[] {
  return [...withoutFences(page).matchAll(/^#{1,6} (.+)$/gm)].map(([, heading = ""]) => heading);
}

function withoutFences(page: string): string {
  return page.replace(/^```[\s\S]*?^```/gm, "");
}
