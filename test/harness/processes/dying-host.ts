/**
 * A host process that is killed while it writes: opens a link in the folder given as argument, waits for the plugin,
 * begins a request of 5 MB and kills itself before the kernel can have taken more than the first part of it.
 */
import { RuntimeId } from "../../../src/domain/ids.ts";
import { silentLog } from "../../../src/observe/log.ts";
import { createSocketTransport } from "../../../src/transport/socket/socket-transport.ts";
import { requestLine } from "../rigs/runner-process.ts";

const ready = Promise.withResolvers<void>();
const nothing = () => undefined;
const transport = createSocketTransport({ processId: "dying", log: silentLog });
const link = await transport.open({
  runtimeId: RuntimeId.parse("0123456789"),
  folder: process.argv[2] ?? "",
  frameBytesMax: 16 * 1024 * 1024,
  listener: { onUp: nothing, onDown: nothing, onReady: ready.resolve, onExit: nothing, onNotice: nothing },
});
await ready.promise;
const line = requestLine("cut-in-half", { text: "x".repeat(5_000_000) });
link.openSession("cut-in-half", line, { onFrame: nothing, onLost: nothing });
process.kill(process.pid, "SIGKILL");
