import { randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { Fault } from "../../../src/domain/fault.ts";
import type { EngineImage } from "../../../src/engine/engine.ts";

type Labels = Readonly<Record<string, string>>;

/** The images of a MemoryEngine: ids, tags and layers, without content. */
export class MemoryImages {
  readonly #images = new Map<string, EngineImage>();
  readonly #time: () => Date;

  constructor(time: () => Date) {
    this.#time = time;
  }

  /** A new image on the layers of `below`; the reference moves to it. Resolves with its id. */
  add(reference: string, labels: Labels = {}, below: readonly string[] = []): string {
    const id = `sha256:${randomBytes(32).toString("hex")}`;
    for (const [other, image] of this.#images) {
      const tags = image.tags.filter((tag) => tag !== reference);
      this.#images.set(other, { ...image, tags });
    }
    const layers = [...below, id];
    const bytes = layers.length;
    this.#images.set(id, { id, tags: [reference], labels, bytes, createdAt: this.#time(), layers });
    return id;
  }

  all(): readonly EngineImage[] {
    return [...this.#images.values()];
  }

  find(reference: string): EngineImage | undefined {
    return this.#images.get(reference) ?? this.all().find(({ tags }) => tags.includes(reference));
  }

  get(reference: string): EngineImage {
    const image = this.find(reference);
    if (image === undefined) throw new Fault("not_found", `The Engine has no image ${reference}.`);
    return image;
  }

  /** Throws `conflict` where another image or reference needs it. */
  remove(reference: string, image: EngineImage): void {
    const isBelow = this.all().some(({ id, layers }) => id !== image.id && layers?.includes(image.id));
    if (reference === image.id && (image.tags.length > 1 || isBelow))
      throw new Fault("conflict", `${reference} is needed by another image or reference.`);
    this.#images.delete(image.id);
  }

  save(id: string): Readable {
    const image = this.#images.get(id);
    if (image === undefined) throw new Fault("not_found", `The Engine has no image ${id}.`);
    return Readable.from([JSON.stringify({ ...image, tags: [] })]);
  }

  async load(tar: Readable): Promise<void> {
    const { createdAt, ...saved } = JSON.parse(await text(tar)) as EngineImage;
    if (!this.#images.has(saved.id)) this.#images.set(saved.id, { ...saved, createdAt: new Date(createdAt) });
  }
}
