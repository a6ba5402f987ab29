/**
 * Where the data sets come from: addresses, published digests, and how much they unpack to.
 *
 * @module
 */

import { CIFAR101_VERSIONS, type Cifar101Version } from "../../lib/data/cifar_variants.ts";
import { UsageError } from "../../lib/errors.ts";

/** A file to download. */
export interface SourceFile {
  /** File name, as published. */
  readonly name: string;
  /** Official address; none where an account is required. */
  readonly url?: string;
  /** Published digest; none where none is published: then the file's SHA-256 is reported only. */
  readonly digest?: Digest;
  /** Most bytes that are downloaded. */
  readonly maxBytes: number;
}

/** A digest in hexadecimal. */
export interface Digest {
  readonly algorithm: "md5" | "sha256";
  readonly hex: string;
}

/** A data set's files. */
export interface Source {
  readonly files: readonly SourceFile[];
  /** Most bytes and files that they unpack to, well above the true figures. */
  readonly maxUnpackedBytes: number;
  readonly maxEntries: number;
  /** What to do where a file has no address. */
  readonly manual?: string;
}

const GIB = 2 ** 30;

const md5 = (hex: string): Digest => ({ algorithm: "md5", hex });

const CIFAR = "https://www.cs.toronto.edu/~kriz";
const FLOWERS = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102";
const PETS = "https://www.robots.ox.ac.uk/~vgg/data/pets/data";
const CIFAR101 = "https://raw.githubusercontent.com/modestyachts/CIFAR-10.1/master/datasets";

function cifar101(version: Cifar101Version): SourceFile[] {
  return ["data", "labels"].map((part) => {
    const name = `cifar10.1_${version}_${part}.npy`;
    return { name, url: `${CIFAR101}/${name}`, maxBytes: 2 ** 24 };
  });
}

const IMAGENET: Source = {
  files: [
    { name: "ILSVRC2012_devkit_t12.tar.gz", digest: md5("fa75699e90414af021442c21a62c3abf"), maxBytes: 2 ** 24 },
    { name: "ILSVRC2012_img_val.tar", digest: md5("29b22e2961454d5413ddabcf34fc5622"), maxBytes: 8 * GIB },
    { name: "ILSVRC2012_img_train.tar", digest: md5("1d675b47d978889d74fa0da5fadfb00e"), maxBytes: 160 * GIB },
  ],
  maxUnpackedBytes: 200 * GIB,
  maxEntries: 2_000_000,
  manual:
    "ImageNet is given to registered users only (https://image-net.org/download): put its archives into the data " +
    "folder, or give the folder of a mirror by --url",
};

/**
 * Every data set that can be prepared. Digests are those of the sets' own pages (CIFAR), of Zenodo (CIFAR-10-C) and of
 * torchvision (all others); CIFAR-10.1 publishes none.
 */
export const SOURCES: Readonly<Record<string, Source>> = {
  "cifar10": {
    files: [{
      name: "cifar-10-binary.tar.gz",
      url: `${CIFAR}/cifar-10-binary.tar.gz`,
      digest: md5("c32a1d4ab5d03f1284b67883e8d87530"),
      maxBytes: GIB,
    }],
    maxUnpackedBytes: GIB,
    maxEntries: 100,
  },
  "cifar100": {
    files: [{
      name: "cifar-100-binary.tar.gz",
      url: `${CIFAR}/cifar-100-binary.tar.gz`,
      digest: md5("03b5dce01913d631647c71ecec9e9cb8"),
      maxBytes: GIB,
    }],
    maxUnpackedBytes: GIB,
    maxEntries: 100,
  },
  "cifar10.1": { files: CIFAR101_VERSIONS.flatMap(cifar101), maxUnpackedBytes: GIB, maxEntries: 10 },
  "cifar10-c": {
    files: [{
      name: "CIFAR-10-C.tar",
      url: "https://zenodo.org/records/2535967/files/CIFAR-10-C.tar",
      digest: md5("56bf5dcef84df0e2308c6dcbcbbd8499"),
      maxBytes: 4 * GIB,
    }],
    maxUnpackedBytes: 4 * GIB,
    maxEntries: 100,
  },
  "stl10": {
    files: [{
      name: "stl10_binary.tar.gz",
      url: "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
      digest: md5("91f7769df0f17e558f3565bffb0c7dfb"),
      maxBytes: 4 * GIB,
    }],
    maxUnpackedBytes: 5 * GIB,
    maxEntries: 100,
  },
  "oxford102flowers": {
    files: [
      {
        name: "imagelabels.mat",
        url: `${FLOWERS}/imagelabels.mat`,
        digest: md5("e0620be6f572b9609742df49c70aed4d"),
        maxBytes: 2 ** 20,
      },
      {
        name: "setid.mat",
        url: `${FLOWERS}/setid.mat`,
        digest: md5("a5357ecc9cb78c4bef273ce3793fc85c"),
        maxBytes: 2 ** 20,
      },
      {
        name: "102flowers.tgz",
        url: `${FLOWERS}/102flowers.tgz`,
        digest: md5("52808999861908f626f3c1f4e79d11fa"),
        maxBytes: GIB,
      },
    ],
    maxUnpackedBytes: GIB,
    maxEntries: 20_000,
  },
  "oxfordpets": {
    files: [
      {
        name: "annotations.tar.gz",
        url: `${PETS}/annotations.tar.gz`,
        digest: md5("95a8c909bbe2e81eed6a22bccdf3f68f"),
        maxBytes: GIB,
      },
      {
        name: "images.tar.gz",
        url: `${PETS}/images.tar.gz`,
        digest: md5("5c4f3ee8e5d25df40f4fd59a7f44e54c"),
        maxBytes: 2 * GIB,
      },
    ],
    maxUnpackedBytes: 4 * GIB,
    maxEntries: 60_000,
  },
  "imagenet": IMAGENET,
  "imagenet100": IMAGENET,
};

/**
 * The file at an address, for `custom`: nothing is known of it.
 *
 * @throws {UsageError} if the address ends in no plain file name: a download must not leave its folder
 */
export function customSource(url: string): Source {
  return {
    files: [{ name: fileNameOf(url), url, maxBytes: 64 * GIB }],
    maxUnpackedBytes: 64 * GIB,
    maxEntries: 2_000_000,
  };
}

/** The address of a file: the official one, or below `--url`, which may also be the address of the only file itself. */
export function addressOf(file: SourceFile, base: string | undefined): string | undefined {
  if (base === undefined) return file.url;
  if (lastPart(base) === file.name) return base;
  const address = new URL(base);
  address.pathname = `${address.pathname.replace(/\/+$/, "")}/${encodeURIComponent(file.name)}`;
  return address.href;
}

function fileNameOf(url: string): string {
  const name = lastPart(url);
  const found = name === undefined
    ? "is not decodable: a % is not followed by two digits of UTF-8"
    : reasonAgainst(name);
  if (found === undefined) return name!;
  throw new UsageError(
    `Cannot use --url ${url}: its last part ${found}; a plain file name, as in http://host/folder/images.tar, is required`,
  );
}

/** Why a name is none that a file of ours may have; `undefined` where it may. */
function reasonAgainst(name: string): string | undefined {
  if (name === "") return "is empty";
  // deno-lint-ignore no-control-regex -- a control character has no place in a file's name
  const plain = name !== "." && name !== ".." && !/[/\\:\x00-\x1f\x7f]/.test(name);
  return plain ? undefined : `is ${JSON.stringify(name)}, which may lead outside`;
}

/** What follows an address's last slash, decoded; `undefined` where that is impossible. */
function lastPart(url: string): string | undefined {
  try {
    return decodeURIComponent(new URL(url).pathname.split("/").at(-1)!);
  } catch {
    return undefined;
  }
}
