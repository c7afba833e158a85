export function merge(target: any, source: any) {
  for (const key in source) {
    if (typeof source[key] === "object") {
      // ruleid: object-merged-in-depth-js
      target[key] = merge(target[key] ?? {}, source[key]);
    } else {
      target[key] = source[key];
    }
  }
  return target;
}

const deepAssign = (into: any, from: any) => {
  for (const name of Object.keys(from)) {
    if (isObject(from[name])) {
      // ruleid: object-merged-in-depth-js
      deepAssign(into[name], from[name]);
    } else {
      into[name] = from[name];
    }
  }
};

function extend(base: any, extra: any) {
  Object.keys(extra).forEach((key) => {
    // ruleid: object-merged-in-depth-js
    base[key] = isObject(extra[key]) ? extend(base[key], extra[key]) : extra[key];
  });
  return base;
}
