import yaml from "js-yaml";
import { unserialize } from "php-serialize";

export async function load(id: string) {
  // ok: unsafe-deserialization-js
  return JSON.parse(await redis.get(id));
}

export function settings(text: string) {
  // ok: unsafe-deserialization-js
  return yaml.load(text);
}

export function plain(text: string) {
  // ok: unsafe-deserialization-js
  return yaml.load(text, { schema: yaml.JSON_SCHEMA });
}

export function shape(text: string) {
  // ok: unsafe-deserialization-js
  return Shape.parse(JSON.parse(text));
}
