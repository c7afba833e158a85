export function merge(target: any, source: any) {
  for (const key in source) {
    if (key === "__proto__" || key === "constructor") continue;
    if (typeof source[key] === "object") {
      // ok: object-merged-in-depth-js
      target[key] = merge(target[key] ?? {}, source[key]);
    } else {
      target[key] = source[key];
    }
  }
  return target;
}

export function shallow(target: any, source: any) {
  for (const key in source) {
    // ok: object-merged-in-depth-js
    target[key] = source[key];
  }
  return { ...target, ...source };
}

export function walk(tree: any, visit: (node: any) => void) {
  for (const key in tree) {
    // ok: object-merged-in-depth-js
    walk(tree[key], visit);
  }
}
