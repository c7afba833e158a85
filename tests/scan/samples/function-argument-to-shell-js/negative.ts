import { exec, execFile, execFileSync, execSync, spawn } from "node:child_process";
import { quote } from "shell-quote";

export async function stopSandbox({ container_id }: { container_id: string }) {
  // ok: function-argument-to-shell-js
  execFileSync("docker", ["rm", "-f", container_id]);
}

export function inspect(pid: number) {
  // ok: function-argument-to-shell-js
  return execSync(`ps -p ${pid} -o comm=`);
}

export function quoted(name: string) {
  // ok: function-argument-to-shell-js
  return execSync("cat " + quote([name]));
}

export function kept(name: string) {
  const tidy = name.replace(/[^a-z0-9-]/gi, "");
  // ok: function-argument-to-shell-js
  return execSync(`docker rm -f ${tidy}`);
}

export function checked(name: string) {
  if (!/^[a-z0-9-]+$/.test(name)) throw new Error("not a name");
  // ok: function-argument-to-shell-js
  return execSync(`docker rm -f ${name}`);
}

export function validated(name: string) {
  assertValidName(name);
  // ok: function-argument-to-shell-js
  return execSync(`docker rm -f ${name}`);
}

// Starting the program that it is told to start is what this function is for.
export function start(program: string, args: string[]) {
  // ok: function-argument-to-shell-js
  return spawn(program, args);
}
