/**
 * A batch that is made while the one before is used.
 *
 * @module
 */

/** Makes the batch of the next step as soon as one is asked for. */
export class BatchAhead<Batch> {
  readonly #make: (step: number) => Promise<Batch>;
  #ahead: { readonly step: number; readonly batch: Promise<Batch> } | undefined;

  /** @param make a step's batch; the one before and the one after are in use meanwhile, no other */
  constructor(make: (step: number) => Promise<Batch>) {
    this.#make = make;
  }

  /** The batch of a step. */
  async at(step: number): Promise<Batch> {
    // A batch that was made ahead for another step is let go once it is done with its buffers.
    if (this.#ahead?.step !== step) await this.#ahead?.batch.catch(() => {});
    const batch = await (this.#ahead?.step === step ? this.#ahead.batch : this.#make(step));
    this.#ahead = { step: step + 1, batch: this.#make(step + 1) };
    // Its error is thrown when the batch is asked for.
    this.#ahead.batch.catch(() => {});
    return batch;
  }
}
