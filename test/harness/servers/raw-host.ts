/** A host that speaks the runner's wire by hand: what the transport would make of a line has no say here. */
import { createServer, type Socket } from "node:net";
import { join } from "node:path";

export interface RawHost extends AsyncDisposable {
  readonly data: Socket;
  readonly control: Socket;
  /** Whole lines that came so far, as bytes in Latin-1: nothing is lost to decoding. */
  readonly dataLines: () => readonly string[];
  readonly controlLines: () => readonly string[];
}

/** Resolves when the runner has dialled both connections of the socket `h-<name>.sock`. */
export async function listenRaw(folder: string, name: string): Promise<RawHost> {
  const server = createServer();
  server.listen(join(folder, `h-${name}.sock`));
  const sides = new Map<string, { socket: Socket; lines: string[] }>();
  const both = Promise.withResolvers<void>();
  server.on("connection", (socket) => {
    const lines: string[] = [];
    let rest = "";
    let said = false;
    socket.setEncoding("latin1").on("data", (text: string) => {
      const whole = (rest + text).split("\n");
      rest = whole.pop() ?? "";
      lines.push(...whole);
      if (said || lines.length === 0) return;
      said = true;
      const hello: { hello: string } = JSON.parse(lines.shift() ?? "");
      sides.set(hello.hello, { socket, lines });
      if (sides.size === 2) both.resolve();
    });
  });
  await both.promise;
  const [data, control] = [sides.get("data"), sides.get("control")];
  if (data === undefined || control === undefined) throw new Error("the runner did not say both hellos");
  return {
    data: data.socket,
    control: control.socket,
    dataLines: () => data.lines,
    controlLines: () => control.lines,
    [Symbol.asyncDispose]: async () => {
      data.socket.destroy();
      control.socket.destroy();
      server.close();
    },
  };
}
