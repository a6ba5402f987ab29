/**
 * Which image holds what, and when it is copied: launches share few images, a copy serves several launches where nothing
 * writes to its source in between, and copies gather where they must interrupt a compute pass anyway.
 *
 * @module
 */

import { type ImageBinding, imageDimension } from "../../kernels/image.ts";
import type { LaunchBindings } from "./images.ts";
import type { BufferRange } from "./launch.ts";

/** A binding that a launch reads as an image. */
export interface ImageRequest extends ImageBinding {
  /** What the image holds. */
  readonly range: BufferRange;
}

/** An image of the pool. */
export type PooledImage = Pick<ImageRequest, "texels" | "format">;

/** What is done for a launch. */
export interface PlannedImages {
  /** Image of each binding that is read as one. */
  readonly uses: ReadonlyMap<number, number>;
  /** Copies before the launch, of its own images or of later launches'. */
  readonly copies: readonly { readonly image: number; readonly request: ImageRequest }[];
}

/** Images of a kind: two for the launch, and one that is filled for the next. */
const MOST_OF_A_KIND = 3;

function kindOf({ texels, format }: PooledImage): string {
  return `${imageDimension(texels)} ${format}`;
}

/** The images that launches share: of each kind up to three, each as large as the largest that is asked for. */
export function poolOf(requests: readonly PooledImage[]): PooledImage[] {
  const kinds = Map.groupBy(requests, kindOf);
  return [...kinds.values()].flatMap((asked) => {
    const texels = Math.max(...asked.map((request) => request.texels)), { format } = asked[0];
    return Array.from({ length: Math.min(MOST_OF_A_KIND, asked.length) }, () => ({ texels, format }));
  });
}

/** What an image of the pool holds while a plan is made. */
interface Holding {
  readonly kind: string;
  range?: BufferRange;
  /** Launch before which it was filled, and the last launch that read it. */
  filled: number;
  lastUse: number;
}

/** Places at which launches bind a buffer: any of them may write there. */
class Writes {
  readonly #places = new Map<GPUBuffer, { readonly launch: number; readonly start: number; readonly end: number }[]>();

  add(launch: number, { buffer, offset, size }: BufferRange): void {
    const places = this.#places.get(buffer);
    const place = { launch, start: offset, end: offset + size };
    if (places === undefined) this.#places.set(buffer, [place]);
    else places.push(place);
  }

  /** The last launch so far that may have written to a range; -1 where none has. */
  last({ buffer, offset, size }: BufferRange): number {
    return this.#places.get(buffer)?.findLast(({ start, end }) => start < offset + size && end > offset)?.launch ?? -1;
  }
}

/**
 * A plan for launches that always run in this order, from the first to the last.
 *
 * @throws RangeError where a launch reads more images of a kind than the pool has
 */
export function planImages(launches: readonly LaunchBindings[], pool: readonly PooledImage[]): PlannedImages[] {
  const holdings = pool.map((image): Holding => ({ kind: kindOf(image), filled: -1, lastUse: -1 }));
  const writes = new Writes(), copies = launches.map((): PlannedImages["copies"][number][] => []);
  return launches.map(({ images, buffers }, launch) => {
    const uses = new Map<number, number>();
    for (const request of images) {
      const written = writes.last(request.range);
      const holding = heldFor(holdings, request, written) ?? fill(holdings, request, (holding) => {
        // As late as another copy interrupts the pass anyway, or else just before the launch.
        const earliest = Math.max(holding.lastUse, written) + 1;
        if (earliest > launch) throw new RangeError(`Cannot plan the images of launch ${launch}: it reads too many`);
        const interrupted = copies.findLastIndex((there, at) => at >= earliest && at <= launch && there.length > 0);
        const at = interrupted >= 0 ? interrupted : launch;
        copies[at].push({ image: holdings.indexOf(holding), request });
        return at;
      });
      holding.lastUse = launch;
      uses.set(request.index, holdings.indexOf(holding));
    }
    for (const range of buffers) writes.add(launch, range);
    return { uses, copies: copies[launch] };
  });
}

/** The image that holds what is asked for, if nothing wrote to the range since. */
function heldFor(holdings: readonly Holding[], request: ImageRequest, written: number): Holding | undefined {
  const { buffer, offset, size } = request.range, kind = kindOf(request);
  return holdings.find((holding) => {
    const range = holding.kind === kind && written < holding.filled ? holding.range : undefined;
    return range?.buffer === buffer && range.offset === offset && range.size === size;
  });
}

/** Takes the image that was longest not used, and has it filled. */
function fill(
  holdings: readonly Holding[],
  request: ImageRequest,
  copy: (holding: Holding) => number,
): Holding {
  const alike = holdings.filter(({ kind }) => kind === kindOf(request));
  const holding = alike.reduce((oldest, other) => other.lastUse < oldest.lastUse ? other : oldest);
  holding.filled = copy(holding);
  holding.range = request.range;
  return holding;
}
