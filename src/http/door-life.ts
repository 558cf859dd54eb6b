import { Fault } from "../domain/fault.ts";

/** How a door stops, in steps: not ready, streams ended, requests cut. Each step happens once. */
export class DoorLife implements Disposable {
  readonly #streams = new AbortController();
  readonly #requests = new AbortController();
  #isUnready = false;

  /** From now on the process is not ready, whatever its parts say: a load balancer must stop sending requests. */
  get isUnready(): boolean {
    return this.#isUnready;
  }

  /** Aborts streams that would not end on their own, with `shutting_down`. */
  get streams(): AbortSignal {
    return this.#streams.signal;
  }

  /** Aborts everything that is still under way when the drain period is over, with `shutting_down`. */
  get requests(): AbortSignal {
    return this.#requests.signal;
  }

  makeUnready(): void {
    this.#isUnready = true;
  }

  endStreams(): void {
    this.#streams.abort(new Fault("shutting_down", "Berth is stopping; retry, another process may answer."));
  }

  [Symbol.dispose](): void {
    this.makeUnready();
    this.endStreams();
    this.#requests.abort(new Fault("shutting_down", "Berth stopped before the request was done."));
  }
}
