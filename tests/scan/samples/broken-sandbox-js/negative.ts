import ivm from "isolated-vm";
import vm from "node:vm";
import { evaluate } from "mathjs";
import machines from "./machines";

export async function run(code: string) {
  // ok: broken-sandbox-js
  const isolate = new ivm.Isolate({ memoryLimit: 64 });
  const context = await isolate.createContext();
  return context.eval(code, { timeout: 1000 });
}

export function sum(text: string) {
  // ok: broken-sandbox-js
  return evaluate(text);
}

export function start() {
  // ok: broken-sandbox-js
  return new machines.VM({ image: "debian" });
}

export function version() {
  // ok: broken-sandbox-js
  return vm.runInNewContext("1 + 1");
}
