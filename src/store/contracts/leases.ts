/** One holder at a time of whatever has a name, among all processes. Nothing is left of a lease that was given back. */
export interface LeaseRows {
  /** False while another holder's stands. */
  take(name: string, holder: string, leaseMs: number): Promise<boolean>;
  /** Throws `lease_lost` where another one has it, or it is gone. */
  renew(name: string, holder: string, leaseMs: number): Promise<void>;
  release(name: string, holder: string): Promise<void>;
  isTaken(name: string): Promise<boolean>;
}
