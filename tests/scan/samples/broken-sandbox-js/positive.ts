import { VM, NodeVM } from "vm2";
import safeEval from "safe-eval";

export function run(code: string) {
  // ruleid: broken-sandbox-js
  const vm = new VM({ timeout: 1000 });
  return vm.run(code);
}

export async function withModules(code: string) {
  // ruleid: broken-sandbox-js
  const vm = new NodeVM({ sandbox: {}, require: { external: true } });
  return vm.run(`module.exports = async () => { ${code} }`);
}

export function expression(text: string) {
  // ruleid: broken-sandbox-js
  return safeEval(text, { Math });
}
