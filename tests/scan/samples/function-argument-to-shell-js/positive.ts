import { exec, execFile, execSync, spawn } from "node:child_process";
import { promisify } from "node:util";
import { execAsync } from "../utils/exec.js";

const run = promisify(exec);

export default async function stopSandbox({ container_id }: { container_id: string }) {
  // ruleid: function-argument-to-shell-js
  execSync(`docker rm -f ${container_id}`);
}

export async function kubectlApply(k8s: Manager, input: { filename?: string; namespace?: string }) {
  const namespace = input.namespace || "default";
  let command = "kubectl apply";
  if (input.filename) {
    command += ` -f ${input.filename}`;
  }
  command += ` -n ${namespace}`;
  // ruleid: function-argument-to-shell-js
  return execSync(command, { encoding: "utf8" });
}

class Device {
  async shell(command: string) {
    // ruleid: function-argument-to-shell-js
    const { stdout } = await run(`adb shell "${command.replace(/"/g, '\\"')}"`);
    return stdout;
  }
}

export const labels = async (repo: string, names: string[]) => {
  // ruleid: function-argument-to-shell-js
  const { stdout } = await execAsync(`gh label list --repo ${repo} ${names.join(",")}`);
  return stdout;
};

export function inShell(script: string) {
  // ruleid: function-argument-to-shell-js
  return spawn("bash", ["-c", script]);
}

export async function execInPod(exec: Exec, input: { name: string; command: string; shell?: string }) {
  const shell = input.shell || "/bin/sh";
  // ruleid: function-argument-to-shell-js
  const words = [shell, "-c", input.command];
  return exec.exec("default", input.name, "", words);
}
