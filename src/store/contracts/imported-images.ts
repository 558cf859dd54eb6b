/** Images that another Berth built and exported. Their rows among the images are like those of any other. */
export interface ImportedImage {
  readonly checksum: string;
  readonly arch: string;
  /** Of the row in `images`. */
  readonly imageKey: string;
  /** As the export's manifest tells it: shown, never relied on. */
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
  /** A later import of the same Package for the same arch takes the place of the earlier one. */
  put(image: Omit<ImportedImage, "createdAt">): Promise<void>;
}
