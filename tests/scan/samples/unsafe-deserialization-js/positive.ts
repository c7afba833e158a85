import { unserialize } from "node-serialize";
import yaml from "js-yaml";
import unsafe from "js-yaml-js-types";
import cryo from "cryo";

export async function load(id: string) {
  // ruleid: unsafe-deserialization-js
  return unserialize(await redis.get(id));
}

export function settings(text: string) {
  // ruleid: unsafe-deserialization-js
  return yaml.load(text, { schema: yaml.DEFAULT_FULL_SCHEMA });
}

export function flow(text: string) {
  // ruleid: unsafe-deserialization-js
  return yaml.load(text, { schema: yaml.DEFAULT_SCHEMA.extend(unsafe.all) });
}

export function history(text: string) {
  // ruleid: unsafe-deserialization-js
  return cryo.parse(text);
}
