/**
 * Makes sure that this machine has a WebGPU adapter, before the demo or the tests need one.
 *
 * On Debian and Ubuntu, as root, it installs Mesa's Vulkan driver for the CPU and says so; elsewhere it prints what to
 * do.
 *
 * @module
 */

import { openGpu } from "../lib/gpu/device.ts";

/** What can be known of a machine without running anything. */
export interface Machine {
  /** `linux`, `darwin`, `windows`, ... */
  readonly os: string;
  /** The text of `/etc/os-release`; empty where there is none. */
  readonly release: string;
  readonly root: boolean;
}

/** What to do about a missing adapter: commands to run at once, or advice to print. */
export type Remedy =
  | { readonly install: readonly (readonly string[])[] }
  | { readonly advice: string };

const APT: readonly (readonly string[])[] = [
  ["apt-get", "update"],
  ["apt-get", "install", "-y", "--no-install-recommends", "mesa-vulkan-drivers", "libvulkan1"],
];

/** Silences Mesa's layer that looks for a display; no Vulkan application without a window needs it. */
const QUIET_MESA = { "NODEVICE_SELECT": "1" };

/** OpenGL, which Deno falls back on, computes right but many times slower: Mesa's has no subgroups. */
const WITHOUT_OPENGL = { "DENO_WEBGPU_BACKEND": "vulkan,metal,dx12" };

/** Chooses the remedy for a machine without an adapter. */
export function remedyFor({ os, release, root }: Machine): Remedy {
  if (os === "darwin") return { advice: "a Mac with Metal is required: update macOS" };
  if (os === "windows") return { advice: "a DirectX 12 or Vulkan driver is required: update the graphics driver" };
  const family = /^ID(?:_LIKE)?=.*$/gm;
  const names = (release.match(family) ?? []).join(" ").toLowerCase();
  if (/debian|ubuntu/.test(names)) {
    if (root) return { install: APT };
    return { advice: `run: ${APT.map((command) => `sudo ${command.join(" ")}`).join(" && ")}` };
  }
  if (/fedora|rhel|centos/.test(names)) return { advice: "run: sudo dnf install -y mesa-vulkan-drivers vulkan-loader" };
  if (/arch/.test(names)) return { advice: "run: sudo pacman -S --noconfirm vulkan-swrast vulkan-icd-loader" };
  if (/suse/.test(names)) return { advice: "run: sudo zypper install -y libvulkan_lvp libvulkan1" };
  return {
    advice: "install a Vulkan driver, as Mesa's lavapipe, and the Vulkan loader with the system's package manager",
  };
}

function say(line: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`${line}\n`));
}

/**
 * Opens a device in a process of its own, since a process never sees a driver that was installed after its start.
 * `DENO_WEBGPU_BACKEND`, where the user set it, decides.
 */
async function probe(backends: Readonly<Record<string, string>> = {}): Promise<string | undefined> {
  const { success, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", import.meta.url, "--probe"],
    env: { ...QUIET_MESA, ...(Deno.env.has("DENO_WEBGPU_BACKEND") ? {} : backends) },
    stderr: "null",
  }).output();
  return success ? new TextDecoder().decode(stdout).trim() : undefined;
}

async function printAdapter(): Promise<number> {
  try {
    const gpu = await openGpu();
    await Deno.stdout.write(new TextEncoder().encode(gpu.adapter.description || gpu.adapter.device));
    gpu.destroy();
    return 0;
  } catch {
    return 1;
  }
}

async function machine(): Promise<Machine> {
  const release = await Deno.readTextFile("/etc/os-release").catch(() => "");
  return { os: Deno.build.os, release, root: Deno.build.os !== "windows" && Deno.uid() === 0 };
}

/** Runs one command; resolves to what went wrong, or to nothing. */
async function failureOf([program, ...args]: readonly string[]): Promise<string | undefined> {
  const env = { "DEBIAN_FRONTEND": "noninteractive" };
  try {
    const command = new Deno.Command(program, { args, env, stdin: "null", stdout: "null", stderr: "inherit" });
    const { success, code } = await command.output();
    return success ? undefined : `exit code ${code}`;
  } catch (cause) {
    return (cause as Error).message;
  }
}

/** Runs the commands in turn, until one fails; says which. */
async function install(commands: readonly (readonly string[])[]): Promise<boolean> {
  say("setup: no WebGPU adapter was found: installing Mesa's Vulkan driver for the CPU");
  for (const command of commands) {
    say(`setup: ${command.join(" ")}`);
    const failure = await failureOf(command);
    if (failure !== undefined) {
      say(`setup: Cannot install the driver: ${command[0]} failed (${failure})`);
      return false;
    }
  }
  return true;
}

/** Resolves to 0 once there is an adapter, or to 1 after saying what is missing. */
async function main(): Promise<number> {
  let adapter = await probe(WITHOUT_OPENGL);
  if (adapter === undefined) {
    const remedy = remedyFor(await machine());
    if ("install" in remedy && await install(remedy.install)) adapter = await probe(WITHOUT_OPENGL);
    if (adapter === undefined) {
      const advice = "advice" in remedy ? remedy.advice : `run: ${APT.map((words) => words.join(" ")).join(" && ")}`;
      const slow = await probe();
      if (slow !== undefined) {
        say(`setup: WebGPU adapter: ${slow}, through OpenGL, which is many times slower than Vulkan; ${advice}`);
        return 0;
      }
      say(`setup: Cannot go on without a WebGPU adapter: none was found; ${advice}`);
      return 1;
    }
  }
  say(`setup: WebGPU adapter: ${adapter}`);
  return 0;
}

if (import.meta.main) Deno.exit(Deno.args[0] === "--probe" ? await printAdapter() : await main());
