import vm from "node:vm";

export function convertToValidJSONString(inputString: string) {
  // ruleid: function-argument-to-code-js
  const jsObject = Function("return " + inputString)();
  return JSON.stringify(jsObject, null, 2);
}

export class Condition {
  evaluate(expression: string, state: Record<string, unknown>) {
    // ruleid: function-argument-to-code-js
    return new Function("state", `return (${expression})`)(state);
  }
}

export const runInSandbox = async (code: string) => {
  const context = vm.createContext({ console });
  // ruleid: function-argument-to-code-js
  return vm.runInContext(code, context, { timeout: 1000 });
};

export function calculate({ expression }: { expression: string }) {
  // ruleid: function-argument-to-code-js
  return eval(expression);
}
