import vm from "node:vm";

const OPERATIONS: Record<string, (a: number, b: number) => number> = { add: (a, b) => a + b };

export function parse(text: string) {
  // ok: function-argument-to-code-js
  return JSON.parse(text);
}

export function calculate(name: string, a: number, b: number) {
  // ok: function-argument-to-code-js
  return OPERATIONS[name](a, b);
}

export function checked(expression: string) {
  if (!/^[0-9+*() -]+$/.test(expression)) throw new Error("not a sum");
  // ok: function-argument-to-code-js
  return eval(expression);
}

export function version(unused: string) {
  // ok: function-argument-to-code-js
  return vm.runInThisContext("process.version");
}

export function delayed(run: () => void) {
  // ok: function-argument-to-code-js
  setTimeout(() => run(), 10);
}
