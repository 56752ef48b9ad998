import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { ROOT, SLUICE, STAND_IN } from "./paths";

export const OWNER = { email: "owner@example.com", password: "correct horse battery" };

/** Models and limits of the browser tests; the stand-in provider takes the place of PROVIDER. */
const APPLY = `
[[provider]]
name = "dashscope"
openai_base_url = "PROVIDER/compatible-mode/v1"

[[model]]
code = "qwen-plus"
provider = "dashscope"
rpm = 600
tpm = 1_000_000
tpm_upper_limit = 2_000_000

[[model]]
code = "qwen-flash"
provider = "dashscope"
rpm = 600
tpm = 5_000_000
tpm_upper_limit = 10_000_000

[[model]]
code = "qwen-turbo"
provider = "dashscope"
rpm = 240
tpm = 100_000
tpm_upper_limit = 400_000

[[model]]
code = "qwen-image"
provider = "dashscope"
rpm = 120
metering = "calls"

[[workspace]]
name = "search"
models = [ { code = "qwen-plus", rpm = 100, tpm = 200_000 }, { code = "qwen-flash" } ]

[[workspace]]
name = "support"
models = [ { code = "qwen-plus", rpm = 0 } ]
`;

/** A running Sluice with a stand-in provider behind it, in a folder of its own. */
export class Installation {
  private readonly processes: ChildProcess[] = [];

  private constructor(
    private readonly folder: string,
    private readonly environment: NodeJS.ProcessEnv,
    readonly consoleUrl: string,
    readonly gatewayUrl: string,
  ) {}

  /** `owner: false` leaves it to the first-run set-up to make somebody who can sign in. */
  static async start({ owner = true } = {}): Promise<Installation> {
    const folder = mkdtempSync(path.join(tmpdir(), "sluice-e2e-"));
    const [consolePort, gatewayPort] = await freePorts(2);
    const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("SLUICE_")));
    Object.assign(environment, {
      SLUICE_CONSOLE_ADDR: `127.0.0.1:${consolePort}`,
      SLUICE_GATEWAY_ADDR: `127.0.0.1:${gatewayPort}`,
      SLUICE_DATABASE_URL: `sqlite://${folder}/sluice.db`,
      SLUICE_SECRET_KEY_FILE: `${folder}/secret.key`,
    });
    const it = new Installation(
      folder,
      environment,
      `http://127.0.0.1:${consolePort}`,
      `http://127.0.0.1:${gatewayPort}`,
    );
    try {
      const provider = await it.startProvider();
      writeFileSync(path.join(folder, "apply.toml"), APPLY.replaceAll("PROVIDER", provider));
      it.run(["apply", path.join(folder, "apply.toml")]);
      if (owner) it.run(["user", "create", "--email", OWNER.email, "--role", "owner", "--password-stdin"], OWNER.password);
      await it.serve();
    } catch (error) {
      await it.stop();
      throw error;
    }
    return it;
  }

  /** What the server has printed since its start. */
  printed(): string {
    return readFileSync(path.join(this.folder, "serve.log"), "utf8");
  }

  /** A command on this installation; what it prints. */
  run(args: string[], input = ""): string {
    return execFileSync(SLUICE, args, { cwd: ROOT, env: this.environment, input, encoding: "utf8" });
  }

  /** Brings the installation to what a file says, as `sluice apply` does. */
  apply(text: string): void {
    const file = path.join(this.folder, "more.toml");
    writeFileSync(file, text);
    this.run(["apply", file]);
  }

  /** Gives another account the same provider and models. */
  applyTo(account: string): void {
    this.run(["apply", "--account", account, path.join(this.folder, "apply.toml")]);
  }

  /** A new key of a workspace, as soon as the gateway takes it. */
  async key(workspace: string): Promise<string> {
    const key = this.run(["key", "create", "--workspace", workspace]).trim();
    await until("the new key is known", async () => {
      const answer = await fetch(`${this.gatewayUrl}/v1/models`, { headers: { authorization: `Bearer ${key}` } });
      return answer.ok;
    });
    return key;
  }

  /** One call through the gateway, read to its end. */
  async call(key: string, model: string, more: object = {}, headers: Record<string, string> = {}): Promise<Response> {
    const answer = await fetch(`${this.gatewayUrl}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json", ...headers },
      body: JSON.stringify({ model, messages: [{ role: "user", content: "Who are you?" }], ...more }),
    });
    await answer.text();
    return answer;
  }

  /** What `sluice report` says about the last hour. */
  report(): { summary: { total_calls: number; failures: number } } {
    return JSON.parse(this.run(["report", "--range", "1h", "--format", "json"]));
  }

  async stop(): Promise<void> {
    for (const it of this.processes.reverse()) {
      if (it.exitCode !== null || it.signalCode !== null) continue;
      it.kill("SIGKILL");
      await once(it, "exit");
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  private async startProvider(): Promise<string> {
    const it = spawn(STAND_IN, ["--listen", "127.0.0.1:0"], { stdio: ["ignore", "pipe", "inherit"] });
    this.processes.push(it);
    for await (const line of createInterface(it.stdout!)) {
      const url = line.match(/http:\S+/);
      if (url) return url[0];
    }
    throw new Error(`${STAND_IN} did not start`);
  }

  private async serve(): Promise<void> {
    const log = path.join(this.folder, "serve.log");
    const output = openSync(log, "w");
    // The site of a debug build is read from the workspace's folder.
    const it = spawn(SLUICE, ["serve"], { cwd: ROOT, env: this.environment, stdio: ["ignore", output, output] });
    closeSync(output);
    this.processes.push(it);
    await until("sluice is ready", async () => {
      if (it.exitCode !== null) throw new Error(`sluice ended: ${readFileSync(log, "utf8")}`);
      const answers = await Promise.all([this.consoleUrl, this.gatewayUrl].map((url) => fetch(`${url}/readyz`)));
      return answers.every((answer) => answer.ok);
    });
  }
}

/** Waits for a condition; an attempt that finds nobody listening counts as false. */
async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 20_000;
  for (;;) {
    const met = await condition().catch((error: unknown) => {
      if (error instanceof TypeError) return false;
      throw error;
    });
    if (met) return;
    if (Date.now() > deadline) throw new Error(`${what}: not within 20 s`);
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
}

async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, "127.0.0.1");
      await once(server, "listening");
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
