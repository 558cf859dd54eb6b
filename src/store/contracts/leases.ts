/** Named leases: one holder at a time among all processes. A released lease leaves no row. */
export interface LeaseRows {
  /** False while another holder has it. */
  take(name: string, holder: string, leaseMs: number): Promise<boolean>;
  /** Throws `lease_lost` where another holder has it, or it is gone. */
  renew(name: string, holder: string, leaseMs: number): Promise<void>;
  release(name: string, holder: string): Promise<void>;
  isTaken(name: string): Promise<boolean>;
}
