/**
 * The thread that keeps nothing between runs; see `render_thread.ts`.
 *
 * @module
 */

import { serveRenderJobs } from "./render_thread.ts";

serveRenderJobs();
