import { Fault } from "../domain/fault.ts";

/** How a door ends, in steps: not ready, streams ended, everything cut short. Each step happens once. */
export class DoorLife implements Disposable {
  readonly #streams = new AbortController();
  readonly #requests = new AbortController();
  #isUnready = false;

  /** Not ready any more, whatever its parts say: a load balancer is to turn away. */
  get isUnready(): boolean {
    return this.#isUnready;
  }

  /** Aborts streams that would not end by themselves, with `shutting_down`. */
  get streams(): AbortSignal {
    return this.#streams.signal;
  }

  /** Aborts whatever is still under way when the time to end by itself is over, with `shutting_down`. */
  get requests(): AbortSignal {
    return this.#requests.signal;
  }

  makeUnready(): void {
    this.#isUnready = true;
  }

  endStreams(): void {
    this.#streams.abort(
      new Fault("shutting_down", "Berth is stopping; ask again, another process may answer."),
    );
  }

  [Symbol.dispose](): void {
    this.makeUnready();
    this.endStreams();
    this.#requests.abort(new Fault("shutting_down", "Berth is stopping and could not wait any longer."));
  }
}
