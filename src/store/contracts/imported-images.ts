/** Images that another Berth built and exported. Their rows in `images` are like any other. */
export interface ImportedImage {
  readonly checksum: string;
  readonly arch: string;
  /** Key of the row in `images`. */
  readonly imageKey: string;
  /** From the export's manifest; for display only. */
  readonly origin: ImageOrigin;
  readonly createdAt: Date;
}

export interface ImageOrigin {
  readonly imageId: string;
  readonly runtimeImageId: string | undefined;
  readonly builderVersion: string;
  readonly exportedAt: string;
}

export interface ImportedImageRows {
  find(checksum: string, arch: string): Promise<ImportedImage | undefined>;
  /** Replaces an earlier import of the same package for the same arch. */
  put(image: Omit<ImportedImage, "createdAt">): Promise<void>;
}
