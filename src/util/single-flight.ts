/** The same thing asked for twice at once is one piece of work; it is forgotten as soon as it settles. */
export class SingleFlight<K, T> {
  readonly #flights = new Map<K, Promise<T>>();

  run(key: K, work: () => Promise<T>): Promise<T> {
    const flying = this.#flights.get(key);
    if (flying !== undefined) return flying;
    const flight = work().finally(() => this.#flights.delete(key));
    this.#flights.set(key, flight);
    return flight;
  }
}
