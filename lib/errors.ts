/**
 * The errors that callers tell apart. Every message states what was attempted, what was found and what was required.
 *
 * @module
 */

/** No WebGPU adapter, or none that has what was required. */
export class NoAdapterError extends Error {
  /** Name of the class, as a printed error begins. */
  override readonly name = "NoAdapterError";
}

/** The device went away (driver reset, unplugged, timed out). Nothing on it survives. */
export class DeviceLostError extends Error {
  /** Name of the class, as a printed error begins. */
  override readonly name = "DeviceLostError";
}

/** The device has no memory left for what was asked of it. */
export class OutOfMemoryError extends Error {
  /** Name of the class, as a printed error begins. */
  override readonly name = "OutOfMemoryError";
}

/** The device refused a command: a defect of ours, not of the caller's. */
export class GpuValidationError extends Error {
  /** Name of the class, as a printed error begins. */
  override readonly name = "GpuValidationError";
}

/** Bytes that are not what their format says: truncated, corrupt, hostile or unsupported. */
export class FormatError extends Error {
  /** Name of the class, as a printed error begins. */
  override readonly name = "FormatError";
}

/** A command line that cannot be carried out as written: exit code 2. */
export class UsageError extends Error {
  /** Name of the class, as a printed error begins. */
  override readonly name = "UsageError";
}

/** Training left the finite numbers: the loss became NaN or infinite. */
export class DivergedError extends Error {
  /** Name of the class, as a printed error begins. */
  override readonly name = "DivergedError";
}
