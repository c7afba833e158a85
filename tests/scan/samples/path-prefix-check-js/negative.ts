import fs from "node:fs/promises";
import path from "node:path";

const ROOT = path.resolve("data");
const rootDir = path.resolve("data") + path.sep;

export function check(file: string) {
  const resolved = path.resolve(ROOT, file);
  // ok: path-prefix-check-js
  if (!resolved.startsWith(ROOT + path.sep)) throw new Error("outside");
  return resolved;
}

export function below(file: string) {
  const resolved = path.resolve(rootDir, file);
  // ok: path-prefix-check-js
  if (!resolved.startsWith(rootDir)) throw new Error("outside");
  return resolved;
}

export function relative(file: string) {
  // ok: path-prefix-check-js
  if (path.relative(ROOT, file).startsWith("..")) throw new Error("outside");
  return file;
}

export function shown(filePath: string, cwd: string) {
  // ok: path-prefix-check-js
  return filePath.startsWith(cwd) ? filePath.slice(cwd.length) : filePath;
}

export function template(filePath: string, baseDir: string) {
  // ok: path-prefix-check-js
  if (!filePath.startsWith(`${baseDir}/`)) throw new Error("outside");
  return filePath;
}

export function route(pathname: string) {
  // ok: path-prefix-check-js
  if (!pathname.startsWith("/api")) return null;
  return pathname;
}
