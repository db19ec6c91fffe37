// Checks JSON against definitions of a JSON schema, and what TypeScript bindings make of the same JSON.
// node validate.mjs SCHEMA.json BINDINGS.js < lines of {"of": DEFINITION, "json": …, "valid": …}

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [schemaFile, bindings] = process.argv.slice(2);
const document = JSON.parse(readFileSync(schemaFile, "utf8"));
const module = await import(pathToFileURL(bindings).href);

/** What says nothing of validity. */
const NOTES = new Set(["description", "format", "contentEncoding"]);

/** Whether `json` is valid against a schema made of the keywords that isx writes; any other is an error here. */
function valid(schema, json) {
  if (typeof schema === "boolean") return schema;
  return Object.entries(schema).every(([keyword, value]) => {
    switch (keyword) {
      case "$ref":
        return valid(definition(value.replace(/^#\/\$defs\//, "")), json);
      case "type":
        return value === "integer" ? Number.isInteger(json) : value === kind(json);
      case "enum":
        return value.includes(json);
      case "pattern":
        return typeof json !== "string" || new RegExp(value, "u").test(json);
      case "minimum":
        return typeof json !== "number" || json >= value;
      case "maximum":
        return typeof json !== "number" || json <= value;
      case "anyOf":
        return value.some((one) => valid(one, json));
      case "oneOf":
        return value.filter((one) => valid(one, json)).length === 1;
      case "prefixItems":
        return !Array.isArray(json) || value.every((one, at) => at >= json.length || valid(one, json[at]));
      case "items":
        return !Array.isArray(json) || json.slice(schema.prefixItems?.length ?? 0).every((item) => valid(value, item));
      case "minItems":
        return !Array.isArray(json) || json.length >= value;
      case "maxItems":
        return !Array.isArray(json) || json.length <= value;
      case "properties":
        return kind(json) !== "object" || Object.entries(value).every(([name, one]) => !(name in json) || valid(one, json[name]));
      case "required":
        return kind(json) !== "object" || value.every((name) => name in json);
      case "additionalProperties":
        return kind(json) !== "object" || value || Object.keys(json).every((name) => name in schema.properties);
      default:
        assert(NOTES.has(keyword), `the keyword ${keyword} is not known here`);
        return true;
    }
  });
}

function kind(json) {
  return json === null ? "null" : Array.isArray(json) ? "array" : typeof json;
}

function definition(name) {
  const found = document.$defs[name];
  assert(found !== undefined, `no definition ${name}`);
  return found;
}

/** The codec that bindings have for a definition. */
function codec(name) {
  const [item, part] = name.split(".");
  if (part === "row") return module.tables[item].row;
  const callable = module.reducers[item] ?? module.queries[item];
  return part === "error" ? callable.failure : callable[part];
}

assert.equal(document.$schema, "https://json-schema.org/draft/2020-12/schema");
let count = 0;
for (const line of readFileSync(0, "utf8").trim().split("\n")) {
  const { of, json, valid: expected } = JSON.parse(line);
  assert.equal(valid(definition(of), json), expected, `${of}: ${line}`);
  if (expected) {
    const { encode, decode, toJson, fromJson } = codec(of);
    const value = fromJson(json);
    assert.deepEqual(decode(encode(value)), value, line);
    assert.deepEqual(toJson(value), json, line);
  } else {
    assert.throws(() => codec(of).fromJson(json), module.CodecError, line);
  }
  count += 1;
}
console.log(`${count} checked`);
