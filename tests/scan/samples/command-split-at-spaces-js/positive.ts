import { spawn, execFile } from "child_process";

export function forward(command: string) {
  const [program, ...args] = command.split(" ");
  // ruleid: command-split-at-spaces-js
  return spawn(program, args);
}

export function run(cmd: string, done: () => void) {
  const [exe, ...rest] = cmd.trim().split(" ");
  // ruleid: command-split-at-spaces-js
  execFile(exe, rest, done);
}

export function kubectl(commandLine: string) {
  const parts = commandLine.split(" ");
  // ruleid: command-split-at-spaces-js
  return spawn("kubectl", parts, { stdio: "pipe" });
}
