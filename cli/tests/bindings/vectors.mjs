// Holds generated TypeScript bindings, compiled, against the codec's test vectors.
// node vectors.mjs BINDINGS.js FOLDER

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [bindings, folder] = process.argv.slice(2);
const codec = await import(pathToFileURL(bindings).href);

/** The parts of each line of a file of vectors. */
function lines(name) {
  const text = readFileSync(join(folder, name), "utf8").trim().split("\n");
  return text.filter((line) => !line.startsWith("#")).map((line) => line.split(" | "));
}

const bytes = (text) => (text === "-" ? new Uint8Array() : Uint8Array.from(Buffer.from(text, "hex")));
const hex = (bytes) => Buffer.from(bytes).toString("hex") || "-";

/** Reads the types and values that vectors are written in. */
class Text {
  constructor(text) {
    this.text = text;
    this.at = 0;
  }

  /** What the pattern matches here; null when it does not. */
  eat(pattern) {
    const sticky = new RegExp(pattern, "y");
    sticky.lastIndex = this.at;
    const match = sticky.exec(this.text);
    if (match !== null) this.at = sticky.lastIndex;
    return match;
  }

  must(pattern) {
    const match = this.eat(pattern);
    assert(match !== null, `${this.text}: no ${pattern} at ${this.at}`);
    return match[0];
  }

  list(close, item) {
    const items = [];
    while (this.eat(close) === null) {
      items.push(item());
      this.eat(", ");
    }
    return items;
  }

  fields() {
    return this.list("\\}", () => [this.must("\\w+"), (this.must(": "), this.type())]);
  }

  type() {
    if (this.eat("option<")) return { option: this.closed(this.type()) };
    if (this.eat("list<")) return { list: this.closed(this.type()) };
    if (this.eat("map<")) {
      const key = this.type();
      this.must(", ");
      return { map: [key, this.closed(this.type())] };
    }
    if (this.eat("\\(")) return { tuple: this.list("\\)", () => this.type()) };
    if (this.eat("\\{")) return { struct: this.fields() };
    if (this.eat("enum \\{")) {
      const variants = this.list("\\}", () => {
        const [name, tag] = this.must("\\w+ = \\d+").split(" = ");
        return [name, Number(tag), this.eat(" \\{") ? this.fields() : []];
      });
      return { enum: variants };
    }
    return this.must("\\w+");
  }

  closed(type) {
    this.must(">");
    return type;
  }

  value(type) {
    if (typeof type === "string") return this.scalar(type);
    if ("option" in type) {
      if (this.eat("none")) return null;
      this.must("some\\(");
      const some = this.value(type.option);
      this.must("\\)");
      return typeof type.option === "object" && "option" in type.option ? { some } : some;
    }
    if ("list" in type) return (this.must("\\["), this.list("\\]", () => this.value(type.list)));
    if ("map" in type) {
      this.must("\\{");
      return new Map(this.list("\\}", () => {
        const key = this.value(type.map[0]);
        this.must(" => ");
        return [key, this.value(type.map[1])];
      }));
    }
    if ("tuple" in type) {
      let at = 0;
      return (this.must("\\("), this.list("\\)", () => this.value(type.tuple[at++])));
    }
    if ("struct" in type) return (this.must("\\{"), this.members(type.struct, "\\}"));
    const tag = Number(this.must("#\\d+").slice(1));
    const [name, , fields] = type.enum.find((variant) => variant[1] === tag);
    this.must("\\(");
    const value = this.members(fields, "\\)");
    return fields.length === 0 ? { tag: name } : { tag: name, value };
  }

  members(fields, close) {
    let at = 0;
    const values = this.list(close, () => this.value(fields[at++][1]));
    return Object.fromEntries(fields.map(([name], at) => [name, values[at]]));
  }

  scalar(type) {
    switch (type) {
      case "bool":
        return this.must("true|false") === "true";
      case "string": {
        const text = this.must('"(?:[^"\\\\]|\\\\.)*"').slice(1, -1);
        return text.replaceAll("\\0", "\0");
      }
      case "bytes":
      case "locator":
        return bytes(this.must("x[0-9a-f]*").slice(1) || "-");
      case "blob":
      case "principal":
        return this.must("[0-9a-f]+");
      case "uuid":
        return codec.uuid(this.must("[0-9a-f]+"));
      case "time":
      case "duration": {
        const value = BigInt(this.must("-?\\d+"));
        this.must("us");
        return value;
      }
      case "f32":
      case "f64": {
        const word = this.must("NaN|-?inf|-?[0-9.e-]+");
        return word.endsWith("inf") ? Number(`${word}inity`.replace("inf", "Inf")) : Number(word);
      }
      default: {
        const value = BigInt(this.must("-?\\d+"));
        return Number(type.slice(1)) >= 64 ? value : Number(value);
      }
    }
  }
}

function parsed(text, read) {
  const source = new Text(text);
  const value = read(source);
  assert.equal(source.at, text.length, `${text}: read to ${source.at}`);
  return value;
}

/** The one zero. */
const canonical = (value) => (Object.is(value, -0) ? 0 : value);

/** Whatever is done to bytes, they are refused, or are the one encoding of what they decode to. */
function mutate(encoded, decode, encode) {
  const changed = [];
  for (let at = 0; at < encoded.length; at += 1) {
    changed.push(encoded.slice(0, at), Uint8Array.from([...encoded.slice(0, at), 0, ...encoded.slice(at)]));
    for (const flip of [1, 2, 0x80, 0xff]) changed.push(encoded.map((byte, place) => (place === at ? byte ^ flip : byte)));
  }
  let refused = 0;
  for (const bytes of changed) {
    let value;
    try {
      value = decode(bytes);
    } catch (error) {
      assert(error instanceof codec.CodecError, error.stack);
      refused += 1;
      continue;
    }
    assert.equal(hex(encode(value)), hex(bytes));
  }
  return refused;
}

let refused = 0;
const values = lines("values.txt");
for (const [typeText, valueText, encoded] of values) {
  const type = parsed(typeText, (text) => text.type());
  const value = parsed(valueText, (text) => text.value(type));
  assert.equal(hex(codec.encodeValue(type, value)), encoded, `${typeText} ${valueText}`);
  assert.deepEqual(codec.decodeValue(type, bytes(encoded)), canonical(value), `${typeText} ${valueText}`);
  const both = codec.fromJson(type, JSON.parse(JSON.stringify(codec.toJson(type, value))));
  // JSON has one null: some of none comes back as none.
  if (valueText !== "some(none)") assert.deepEqual(both, canonical(value), `${typeText} ${valueText} as JSON`);
  refused += mutate(bytes(encoded), (bytes) => codec.decodeValue(type, bytes), (value) => codec.encodeValue(type, value));
}

const records = lines("records.txt");
for (const [typeText, version, valueText, encoded] of records) {
  const fields = parsed(typeText, (text) => text.type()).struct;
  const value = parsed(valueText, (text) => text.value({ struct: fields }));
  assert.equal(hex(codec.encodeRecord(Number(version), fields, value)), encoded, valueText);
  assert.deepEqual(codec.decodeRecord(fields, bytes(encoded)), [Number(version), value]);
  const encode = ([version, value]) => codec.encodeRecord(version, fields, value);
  refused += mutate(bytes(encoded), (bytes) => codec.decodeRecord(fields, bytes), encode);
}

const hostile = lines("refused.txt");
for (const [typeText, why, encoded] of hostile) {
  const type = parsed(typeText, (text) => text.type());
  assert.throws(() => codec.decodeValue(type, bytes(encoded)), new codec.CodecError(why), `${typeText} ${encoded}`);
}

// Bounds, and what bytes can not show.
const refuses = (work, why) => assert.throws(work, (error) => error instanceof codec.CodecError && error.message.includes(why));
const nested = (depth) => (depth === 0 ? "u8" : { option: { tuple: [nested(depth - 1)] } });
const deep = (depth) => (depth === 0 ? 1 : [deep(depth - 1)]);
codec.encodeValue(nested(7), deep(7));
refuses(() => codec.encodeValue(nested(8), deep(8)), "TYPE_DEPTH_MAX");
const deepBytes = (depth) => {
  const inner = depth === 1 ? [] : deepBytes(depth - 1);
  return depth === 1 ? [1, 1] : [1, inner.length, 0, 0, 0, ...inner];
};
assert.deepEqual(codec.decodeValue(nested(7), Uint8Array.from(deepBytes(7))), deep(7));
refuses(() => codec.decodeValue(nested(8), Uint8Array.from(deepBytes(8))), "TYPE_DEPTH_MAX");
refuses(() => codec.encodeValue("bytes", new Uint8Array(codec.VALUE_BYTES_MAX + 1)), "VALUE_BYTES_MAX");
refuses(() => codec.decodeValue("bytes", new Uint8Array(codec.VALUE_BYTES_MAX + 1)), "VALUE_BYTES_MAX");
refuses(() => codec.encodeValue("string", "\ud800"), "not UTF-8");
refuses(() => codec.encodeValue("u8", 256), "expected u8, got 256");
refuses(() => codec.encodeValue("u64", 1), "expected u64, got 1");
refuses(() => codec.encodeValue({ struct: [["a", "u8"]] }, {}), '"a" is missing');
assert.equal(codec.decodeValue("string", bytes("efbbbf61")), "\ufeffa");

// Keys ascend as their UTF-8 does, which is not how JavaScript orders strings; objects may be keys.
const byText = { map: ["string", "u8"] };
const words = new Map([["\u{1f600}", 1], ["\uff5e", 2], ["a", 3]]);
assert.deepEqual([...codec.decodeValue(byText, codec.encodeValue(byText, words)).keys()], ["a", "\uff5e", "\u{1f600}"]);
const byPair = { map: [{ tuple: ["i8", "f64"] }, "u8"] };
const pairs = new Map([[[1, NaN], 1], [[1, -0], 2], [[-1, 5], 3], [[1, Infinity], 4]]);
assert.deepEqual([...codec.decodeValue(byPair, codec.encodeValue(byPair, pairs)).values()], [3, 2, 4, 1]);
refuses(() => codec.encodeValue(byPair, new Map([[[1, 0], 1], [[1, -0], 2]])), "is there twice");
refuses(() => codec.fromJson(byText, [["a", 1], ["a", 2]]), "is there twice");

// Times, and JSON that is none of the type.
for (const [text, microseconds] of [
  ["1970-01-01T00:00:00.000000Z", 0n],
  ["2024-02-29T00:00:00.000001Z", 1_709_164_800_000_001n],
  ["1969-12-31T23:59:59.999999Z", -1n],
  ["0000-01-01T00:00:00.000000Z", -62_167_219_200_000_000n],
  ["9223372036854775807 µs since 1970", 9_223_372_036_854_775_807n],
]) {
  assert.equal(codec.toJson("time", microseconds), text);
  assert.equal(codec.fromJson("time", text), microseconds);
}
assert.equal(codec.fromJson("time", "2024-02-29T01:30:00.5+01:30"), 1_709_164_800_500_000n);
for (const wrong of ["2023-02-29T00:00:00Z", "2023-02-28T24:00:00Z", "2023-02-28T00:00:60Z", "2023-02-28", ""]) {
  refuses(() => codec.fromJson("time", wrong), "expected a time");
}
for (const [type, json, why] of [
  ["u8", 256, "expected u8"], ["u8", 1.5, "expected u8"], ["u64", "1e3", "expected u64"], ["u64", "-1", "expected u64"],
  ["u64", 2 ** 53, "expected u64"], ["bytes", "a", "base64url"], ["bytes", "_/", "base64url"], ["bytes", "_x", "base64url"],
  ["principal", "+1".repeat(32), "hexadecimal"], ["bool", 1, "true or false"], ["string", null, "a string"],
  [{ struct: [["a", "u8"]] }, { a: 1, b: 2 }, 'no field "b"'], [{ struct: [["a", { list: "u8" }]] }, { a: [1, -1] }, "a: item 1"],
  [{ enum: [["x", 1, []]] }, "y", "no variant"], [{ enum: [["x", 1, []]] }, {}, "variant"],
]) {
  refuses(() => codec.fromJson(type, json), why);
}
assert.deepEqual(codec.fromJson({ struct: [["a", { option: "u8" }]] }, {}), { a: null });

assert(values.length > 40 && records.length > 4 && hostile.length > 25 && refused > 500, "the vectors were read");
console.log(`${values.length} values, ${records.length} records, ${hostile.length} refused, ${refused} mutations refused`);
