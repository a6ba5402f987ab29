/**
 * The thread that renders images with the cache of {@linkcode PixelFolder}.
 *
 * @module
 */

import { serveRenderJobs } from "../../lib/data/render_thread.ts";
import { PixelFolder, type PixelFolderSettings } from "./folder.ts";

serveRenderJobs((settings) => new PixelFolder(settings as PixelFolderSettings));
