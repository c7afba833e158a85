import { spawn } from "child_process";

export function forward(resource: string, port: number) {
  // ok: command-split-at-spaces-js
  return spawn("kubectl", ["port-forward", "--", resource, String(port)]);
}

export function edit(file: string) {
  const [editor, ...flags] = process.env.EDITOR.split(" ");
  // ok: command-split-at-spaces-js
  return spawn(editor, [...flags, file]);
}

export function words(sentence: string) {
  const [first, ...others] = sentence.split(" ");
  // ok: command-split-at-spaces-js
  return [first.toUpperCase(), ...others].join(" ");
}

export function listed(names: string[]) {
  // ok: command-split-at-spaces-js
  return spawn("git", names);
}
