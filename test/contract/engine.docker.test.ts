import { openTestEngine } from "../harness/rigs/test-engine.ts";
import { engineContract } from "./engine.contract.ts";

engineContract(
  "Docker",
  async () => {
    const test = await openTestEngine();
    return {
      ...test,
      runEnding: async (how) => {
        const small = { ...test.spec().resources, memoryBytes: 16 << 20 };
        return "oom" in how
          ? await test.run({ command: ["/bin/tail", "/dev/zero"], resources: small })
          : await test.run({ command: ["/bin/sh", "-c", `exit ${how.exitCode}`] });
      },
      [Symbol.asyncDispose]: () => test[Symbol.asyncDispose](),
    };
  },
  { processes: true },
);
