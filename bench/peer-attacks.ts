/** The attacks of `test/plugins/hostile` that are a plain call, so that any host of plugins can run them. */

export interface Attack {
  readonly name: string;
  readonly attack: string;
  readonly parameters?: Readonly<Record<string, unknown>>;
  /** Number of concurrent calls, where it is more than one. */
  readonly calls?: number;
}

const FORGED = ["", "none", "__proto__", "constructor", "x".repeat(1 << 16)];

export const ATTACKS: readonly Attack[] = [
  {
    name: "takes memory until it is killed",
    attack: "leak",
    parameters: { megabytes_per_second: 500 },
    calls: 4,
  },
  { name: "fork bomb of 3 s", attack: "fork_bomb", parameters: { seconds: 3 } },
  { name: "thread bomb of 1 s", attack: "thread_bomb", parameters: { seconds: 1 } },
  { name: "busy loop", attack: "busy_loop" },
  { name: "holds the interpreter's lock", attack: "hang" },
  { name: "all open files", attack: "open_files" },
  { name: "fills /tmp with files", attack: "scratch_files" },
  { name: "fills /tmp with bytes", attack: "scratch_bytes" },
  { name: "all inotify instances and pipe pages", attack: "kernel_budgets" },
  { name: "32 MB of stderr", attack: "stderr_flood", parameters: { megabytes: 32 } },
  { name: "32 MB of junk on stdout", attack: "junk_flood", parameters: { megabytes: 32 } },
  { name: "131,072 tiny lines", attack: "tiny_lines", parameters: { count: 1 << 17 } },
  { name: "20,000 empty messages", attack: "tiny_frames", parameters: { count: 20_000 } },
  { name: "message of 1 MB", attack: "large", parameters: { megabytes: 1 } },
  { name: "message of 15 MB, all of it `[],`", attack: "wide", parameters: { megabytes: 15 } },
  { name: "message of 17 MB", attack: "large", parameters: { megabytes: 17 } },
  { name: "message of 64 MB", attack: "large", parameters: { megabytes: 64 } },
  { name: "half a message, then silence", attack: "half_line" },
  { name: "answers for sessions that are not there", attack: "forged", parameters: { sessions: FORGED } },
  { name: "200 sessions that stay open", attack: "stuck", calls: 200 },
  { name: "10,000 calls of its host", attack: "host_calls", parameters: { count: 10_000 } },
  { name: "100 detached processes", attack: "grandchildren", parameters: { count: 100 } },
  { name: "stops itself", attack: "stop_self" },
  { name: "stops its parent process", attack: "stop_parent" },
  { name: "kills its parent process", attack: "kill_parent" },
];
