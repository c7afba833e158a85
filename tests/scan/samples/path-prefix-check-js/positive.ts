import fs from "node:fs/promises";
import path from "node:path";

const ROOT = path.resolve("data");

export function check(file: string) {
  const resolved = path.resolve(ROOT, file);
  // ruleid: path-prefix-check-js
  if (!resolved.startsWith(ROOT)) {
    throw new Error("outside");
  }
  return resolved;
}

export function isAllowed(requestedPath: string, allowedDirectories: string[]) {
  const normalizedRequested = path.normalize(requestedPath);
  // ruleid: path-prefix-check-js
  return allowedDirectories.some((dir) => normalizedRequested.startsWith(dir));
}

export function isInside(workspaceDir: string, targetPath: string) {
  // ruleid: path-prefix-check-js
  return targetPath.startsWith(workspaceDir);
}

export async function read(file: string) {
  const fullPath = path.join(ROOT, file);
  // ruleid: path-prefix-check-js
  if (!path.resolve(fullPath).startsWith(path.resolve(ROOT))) return null;
  return fs.readFile(fullPath);
}
