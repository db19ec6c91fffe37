// The canonical encoding of isx and its JSON form: the same in every generated file, and in need of nothing.
//
// A type is fixed or var. Fixed: bool, integers and floats (little-endian), time, duration, principal, uuid, blob, an enum
// of unit variants (its tag), a tuple or struct of fixed members. A record is one slot a member (the bytes of a fixed one,
// the end of a var one's body in the tail), then the tail. There is one encoding a value; every other is refused.

/** Nesting of types; deeper is refused. */
export const TYPE_DEPTH_MAX = 16;
/** Bytes of a row, of arguments and of an answer; more are refused. */
export const VALUE_BYTES_MAX = 256 * 1024;

/** A point of log time: microseconds since 1970-01-01T00:00:00Z. Made by `time` and `timeOfDate`. */
export type Time = bigint & { readonly __isx: "time" };
/** A length of time in microseconds. Made by `duration`. */
export type Duration = bigint & { readonly __isx: "duration" };
/** Who calls: 64 hexadecimal digits. Made by `principal`. */
export type Principal = string & { readonly __isx: "principal" };
/** A uuid: `01234567-89ab-cdef-0123-456789abcdef`. Made by `uuid`. */
export type Uuid = string & { readonly __isx: "uuid" };
/** The hash of a blob: 66 hexadecimal digits, the first two its algorithm. Made by `contentHash`. */
export type ContentHash = string & { readonly __isx: "blob" };
/** A sealed locator of an object; opaque. */
export type Locator = Uint8Array & { readonly __isx?: "locator" };
/** A JSON value. */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** A type of a schema without members. */
export type Scalar =
  | "bool" | "u8" | "u16" | "u32" | "u64" | "u128" | "i8" | "i16" | "i32" | "i64" | "i128" | "f32" | "f64"
  | "string" | "bytes" | "blob" | "time" | "duration" | "principal" | "uuid" | "locator";
/** A named member. */
export type Field = readonly [name: string, type: Type];
/** A variant of an enum. */
export type Variant = readonly [name: string, tag: number, fields: readonly Field[]];
/** A type of a schema. */
export type Type =
  | Scalar
  | { readonly option: Type }
  | { readonly list: Type }
  | { readonly map: readonly [key: Type, value: Type] }
  | { readonly tuple: readonly Type[] }
  | { readonly struct: readonly Field[] }
  | { readonly enum: readonly Variant[] };

/** Why bytes, a value or JSON are refused. */
export class CodecError extends Error {
  override readonly name = "CodecError";
}

/** How values of one type are written and read. */
export interface Codec<T> {
  /** The canonical bytes. Throws `CodecError` for what is no value of the type, or too large. */
  encode(value: T): Uint8Array;
  /** The value. Throws `CodecError` for bytes that are not the one encoding of a value. */
  decode(bytes: Uint8Array): T;
  /** The JSON form: integers of 64 bits and wider are strings, bytes base64url, times RFC 3339. */
  toJson(value: T): Json;
  /** The value that JSON means. Throws `CodecError`, naming the place and what was expected there. */
  fromJson(json: Json): T;
}

/** A table. */
export interface Table<Row> {
  readonly name: string;
  /** What subscriptions are typed against: 32 hexadecimal digits. */
  readonly signature: string;
  /** The version of the rows that are written. Older ones are read, with defaults in the columns that they lack. */
  readonly version: number;
  readonly row: Codec<Row>;
}

/** A reducer or a query. */
export interface Callable<Arguments, Answer, Failure> {
  readonly name: string;
  readonly kind: "reducer" | "query" | "put" | "delete";
  /** What calls are typed against: 32 hexadecimal digits. */
  readonly signature: string;
  readonly arguments: Codec<Arguments>;
  readonly answer: Codec<Answer>;
  /** The module's own error; of functions without one, what nothing decodes to. */
  readonly failure: Codec<Failure>;
}

/** A point of time, so many microseconds after the beginning of 1970. */
export function time(microseconds: bigint): Time {
  return integer("i64", microseconds) as Time;
}

/** The point of time of a `Date`. */
export function timeOfDate(date: Date): Time {
  if (Number.isNaN(date.getTime())) fail("expected a date, got an invalid one");
  return time(BigInt(date.getTime()) * 1000n);
}

/** A point of time as a `Date`, which has milliseconds. */
export function dateOf(time: Time): Date {
  return new Date(Number(floorDivide(time, 1000n)));
}

/** A length of time of so many microseconds. */
export function duration(microseconds: bigint): Duration {
  return integer("i64", microseconds) as Duration;
}

/** The principal that a text of 64 hexadecimal digits names. */
export function principal(text: string): Principal {
  return digits(text, 64, "a principal") as Principal;
}

/** The uuid that a text names, with or without hyphens. */
export function uuid(text: string): Uuid {
  const hex = digits(text.replaceAll("-", ""), 32, "a uuid");
  return hyphenated(hex) as Uuid;
}

/** The content hash that a text of 66 hexadecimal digits names. */
export function contentHash(text: string): ContentHash {
  const hex = digits(text, 66, "a content hash");
  if (!hex.startsWith("01")) fail("not the canonical encoding: the hash algorithm is unknown");
  return hex as ContentHash;
}

/** The canonical encoding of a value that stands alone. */
export function encodeValue(type: Type, value: unknown): Uint8Array {
  const out = new Writer();
  put(type, value, out, TYPE_DEPTH_MAX);
  return out.done();
}

/** The value of a canonical encoding that stands alone. */
export function decodeValue(type: Type, bytes: Uint8Array): unknown {
  bounded(bytes.length);
  return take(type, bytes, TYPE_DEPTH_MAX);
}

/** A row, arguments or an answer: a version and a record of the fields. */
export function encodeRecord(version: number, fields: readonly Field[], value: object): Uint8Array {
  const out = new Writer();
  out.integer(2, BigInt(version));
  putMembers(named(fields, value), out, TYPE_DEPTH_MAX);
  return out.done();
}

/** The version and the fields of a row, of arguments or of an answer. */
export function decodeRecord(fields: readonly Field[], bytes: Uint8Array): [version: number, value: object] {
  bounded(bytes.length);
  const [version, record] = splitU16(bytes);
  return [version, takeFields(fields, record, TYPE_DEPTH_MAX)];
}

/** The JSON form of a value. */
export function toJson(type: Type, value: unknown): Json {
  // What the encoding refuses has no JSON either.
  encodeValue(type, value);
  return write(type, value);
}

/** The value of a type that JSON means. */
export function fromJson(type: Type, json: Json): unknown {
  const value = read(type, json);
  encodeValue(type, value);
  return value;
}

// How the generated descriptions below are made.

function recordOf<T>(fields: readonly Field[]): Codec<T> {
  const type: Type = { struct: fields };
  return {
    encode: (value) => encodeRecord(0, fields, value as object),
    decode(bytes) {
      const [version, value] = decodeRecord(fields, bytes);
      if (version !== 0) fail("not the canonical encoding: arguments and answers have version 0");
      return value as T;
    },
    toJson: (value) => toJson(type, value),
    fromJson: (json) => fromJson(type, json) as T,
  };
}

function answerOf<T>(type: Type): Codec<T> {
  const record = recordOf<{ answer: T }>([["answer", type]]);
  return {
    encode: (answer) => record.encode({ answer }),
    decode: (bytes) => record.decode(bytes).answer,
    toJson: (value) => toJson(type, value),
    fromJson: (json) => fromJson(type, json) as T,
  };
}

/** A column: its name, its type, the version that brought it and what rows older than it have in it. */
export type Column = readonly [name: string, type: Type, since: number, older: string];

export function tableOf<Row>(name: string, signature: string, version: number, columns: readonly Column[]): Table<Row> {
  const fields: readonly Field[] = columns.map(([name, type]) => [name, type] as const);
  const type: Type = { struct: fields };
  const row: Codec<Row> = {
    encode: (value) => encodeRecord(version, fields, value as object),
    decode(bytes) {
      bounded(bytes.length);
      const [written, record] = splitU16(bytes);
      if (written < 1 || written > version) {
        fail(`a row of table ${name} has version ${written}, these bindings know 1 to ${version}: make them again`);
      }
      const there = columns.filter(([, , since]) => since <= written).map(([name, type]) => [name, type] as const);
      const value = takeFields(there, record, TYPE_DEPTH_MAX);
      for (const [name, type, since, older] of columns) {
        if (since > written) set(value, name, take(type, unhex(older), TYPE_DEPTH_MAX));
      }
      return value as Row;
    },
    toJson: (value) => toJson(type, value),
    fromJson: (json) => fromJson(type, json) as Row,
  };
  return { name, signature, version, row };
}

export function callable<Arguments, Answer, Failure>(
  kind: "reducer" | "query" | "put" | "delete",
  name: string,
  signature: string,
  fields: readonly Field[],
  answer: Type,
  failure: Type,
): Callable<Arguments, Answer, Failure> {
  return { kind, name, signature, arguments: recordOf(fields), answer: answerOf(answer), failure: answerOf(failure) };
}

// Widths and order.

const WIDTHS: { readonly [scalar in Scalar]: number | null } = {
  bool: 1, u8: 1, u16: 2, u32: 4, u64: 8, u128: 16, i8: 1, i16: 2, i32: 4, i64: 8, i128: 16, f32: 4, f64: 8,
  string: null, bytes: null, locator: null, blob: 33, time: 8, duration: 8, principal: 32, uuid: 16,
};

/** The bytes of every encoding of a fixed type; null for a var one. */
function widthOf(type: Type): number | null {
  if (typeof type === "string") return WIDTHS[type];
  if ("tuple" in type) return sumOf(type.tuple);
  if ("struct" in type) return sumOf(type.struct.map(([, member]) => member));
  if ("enum" in type) return type.enum.every(([, , fields]) => fields.length === 0) ? 2 : null;
  return null;
}

function sumOf(types: readonly Type[]): number | null {
  let sum = 0;
  for (const type of types) {
    const width = widthOf(type);
    if (width === null) return null;
    sum += width;
  }
  return sum;
}

function slotsOf(types: readonly Type[]): number {
  return types.reduce((sum, type) => sum + (widthOf(type) ?? 4), 0);
}

/** Whether values of the type have an order, so that they may be keys. */
function isKey(type: Type): boolean {
  if (typeof type === "string") return type !== "locator";
  if ("map" in type) return false;
  if ("option" in type) return isKey(type.option);
  if ("list" in type) return isKey(type.list);
  if ("tuple" in type) return type.tuple.every(isKey);
  if ("struct" in type) return type.struct.every(([, member]) => isKey(member));
  return type.enum.every(([, , fields]) => fields.every(([, member]) => isKey(member)));
}

/** Orders two values of a key type as their keys are ordered: negative, zero, positive. */
function compare(type: Type, a: any, b: any): number {
  if (typeof type === "string") return compareScalars(type, a, b);
  if ("option" in type) {
    if (a === null || b === null) return Number(a !== null) - Number(b !== null);
    return isNullable(type.option) ? compare(type.option, a.some, b.some) : compare(type.option, a, b);
  }
  if ("list" in type) {
    for (let at = 0; at < Math.min(a.length, b.length); at += 1) {
      const order = compare(type.list, a[at], b[at]);
      if (order !== 0) return order;
    }
    return a.length - b.length;
  }
  if ("tuple" in type) return compareMembers(type.tuple.map((member, at) => [member, a[at], b[at]]));
  if ("struct" in type) return compareMembers(type.struct.map(([name, member]) => [member, a[name], b[name]]));
  if ("enum" in type) {
    const [one, other] = [variantOf(type.enum, a), variantOf(type.enum, b)];
    if (one[1] !== other[1]) return one[1] - other[1];
    return compareMembers(one[2].map(([name, member]) => [member, a.value[name], b.value[name]]));
  }
  return fail("the value is not of the type");
}

function compareMembers(members: [Type, unknown, unknown][]): number {
  for (const [type, a, b] of members) {
    const order = compare(type, a, b);
    if (order !== 0) return order;
  }
  return 0;
}

function compareScalars(type: Scalar, a: any, b: any): number {
  if (type === "string" || type === "bytes" || type === "locator") {
    const [one, other] = type === "string" ? [utf8(a), utf8(b)] : [a, b];
    for (let at = 0; at < Math.min(one.length, other.length); at += 1) {
      if (one[at] !== other[at]) return one[at] - other[at];
    }
    return one.length - other.length;
  }
  // One NaN, after every other.
  if (type === "f32" || type === "f64") {
    if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
    if (type === "f32") [a, b] = [Math.fround(a), Math.fround(b)];
  }
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Whether null is a value of the type: an option of it has `{ some: … }`, or some of null would be none. */
function isNullable(type: Type): boolean {
  return typeof type === "object" && "option" in type;
}

// Encoding.

class Writer {
  #bytes = new Uint8Array(64);
  length = 0;

  #room(count: number): number {
    const at = this.length;
    bounded(at + count);
    if (at + count > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(at + count, 2 * this.#bytes.length));
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    this.length = at + count;
    return at;
  }

  bytes(bytes: Uint8Array): void {
    const at = this.#room(bytes.length);
    this.#bytes.set(bytes, at);
  }

  /** The low bytes of an integer, least first. */
  integer(width: number, value: bigint): void {
    let at = this.#room(width);
    for (let left = width; left > 0; left -= 1) {
      this.#bytes[at] = Number(value & 0xffn);
      value >>= 8n;
      at += 1;
    }
  }

  offset(at: number, value: number): void {
    new DataView(this.#bytes.buffer).setUint32(at, value, true);
  }

  done(): Uint8Array {
    return this.#bytes.slice(0, this.length);
  }
}

function put(type: Type, value: any, out: Writer, depth: number): void {
  depth = deeper(depth);
  if (typeof type === "string") return putScalar(type, value, out);
  if ("option" in type) {
    out.integer(1, value === null ? 0n : 1n);
    if (value === null) return;
    if (!isNullable(type.option)) return put(type.option, value, out, depth);
    if (typeof value !== "object" || !("some" in value)) fail(`expected null or { some: … }, got ${shown(value)}`);
    return put(type.option, value.some, out, depth);
  }
  if ("list" in type) {
    if (!Array.isArray(value)) fail(`expected an array, got ${shown(value)}`);
    if (widthOf(type.list) === 0) fail("the value is not of the type");
    out.integer(4, BigInt(value.length));
    return putMembers(value.map((item, at) => [`item ${at}`, type.list, item] as const), out, depth);
  }
  if ("map" in type) return putMap(type.map, value, out, depth);
  if ("tuple" in type) {
    const types = type.tuple;
    if (!Array.isArray(value) || value.length !== types.length) {
      fail(`expected an array of ${types.length}, got ${shown(value)}`);
    }
    return putMembers(types.map((member, at) => [`member ${at}`, member, value[at]] as const), out, depth);
  }
  if ("struct" in type) return putMembers(named(type.struct, value), out, depth);
  const [name, tag, fields] = variantOf(type.enum, value);
  out.integer(2, BigInt(tag));
  return putMembers(fields.length === 0 ? [] : within(name, () => named(fields, value.value)), out, depth);
}

type Member = readonly [place: string, type: Type, value: unknown];

function named(fields: readonly Field[], value: any): Member[] {
  if (typeof value !== "object" || value === null) fail(`expected an object, got ${shown(value)}`);
  return fields.map(([name, type]) => {
    if (!Object.hasOwn(value, name)) fail(`the field ${JSON.stringify(name)} is missing`);
    return [name, type, value[name]] as const;
  });
}

function putMembers(members: readonly Member[], out: Writer, depth: number): void {
  let slot = out.length;
  const widths = members.map(([, type]) => widthOf(type));
  members.forEach(([place, type, value], at) => {
    if (widths[at] === null) out.integer(4, 0n);
    else within(place, () => put(type, value, out, depth));
  });
  const tail = out.length;
  members.forEach(([place, type, value], at) => {
    const width = widths[at];
    if (width === null || width === undefined) {
      within(place, () => put(type, value, out, depth));
      out.offset(slot, out.length - tail);
    }
    slot += width ?? 4;
  });
}

function putMap([key, member]: readonly [Type, Type], value: any, out: Writer, depth: number): void {
  if (!(value instanceof Map)) fail(`expected a Map, got ${shown(value)}`);
  const entry: Type = { tuple: [key, member] };
  if (!isKey(key) || widthOf(entry) === 0) fail("the value is not of the type");
  const entries = [...(value as Map<unknown, unknown>)];
  // Only values of the type have an order.
  entries.forEach(([one], at) => within(`key ${at}`, () => put(key, one, new Writer(), depth - 1)));
  entries.sort(([a], [b]) => compare(key, a, b));
  entries.forEach(([one], at) => {
    const before = entries[at - 1];
    if (before !== undefined && compare(key, before[0], one) === 0) {
      fail("not the canonical encoding: a map's key is there twice");
    }
  });
  out.integer(4, BigInt(entries.length));
  putMembers(entries.map((pair, at) => [`entry ${at}`, entry, pair] as const), out, depth);
}

const FLOAT = new DataView(new ArrayBuffer(8));

function putScalar(type: Scalar, value: any, out: Writer): void {
  switch (type) {
    case "bool":
      if (typeof value !== "boolean") fail(`expected true or false, got ${shown(value)}`);
      return out.integer(1, value ? 1n : 0n);
    case "f32":
    case "f64": {
      if (typeof value !== "number") fail(`expected a number, got ${shown(value)}`);
      const single = type === "f32";
      if (single) FLOAT.setFloat32(0, value, true);
      else FLOAT.setFloat64(0, value, true);
      const bits = single ? BigInt(FLOAT.getUint32(0, true)) : FLOAT.getBigUint64(0, true);
      return out.integer(single ? 4 : 8, canonicalFloat(single, bits));
    }
    case "string":
      if (typeof value !== "string") fail(`expected a string, got ${shown(value)}`);
      return out.bytes(utf8(value));
    case "bytes":
    case "locator":
      if (!(value instanceof Uint8Array)) fail(`expected a Uint8Array, got ${shown(value)}`);
      return out.bytes(value);
    case "principal":
    case "uuid":
    case "blob": {
      if (typeof value !== "string") fail(`expected a string, got ${shown(value)}`);
      const canonical = type === "principal" ? principal(value) : type === "uuid" ? uuid(value) : contentHash(value);
      if (canonical !== value) fail(`expected ${canonical}, got ${shown(value)}`);
      return out.bytes(unhex(value.replaceAll("-", "")));
    }
    default:
      return out.integer(WIDTHS[type] ?? 0, BigInt(integer(type === "time" || type === "duration" ? "i64" : type, value)));
  }
}

/** The bits that stand for a float: one zero, one NaN. */
function canonicalFloat(single: boolean, bits: bigint): bigint {
  const [sign, infinity, nan] = single
    ? [1n << 31n, 0x7f800000n, 0x7fc00000n]
    : [1n << 63n, 0x7ff0000000000000n, 0x7ff8000000000000n];
  const magnitude = bits & (sign - 1n);
  return magnitude === 0n ? 0n : magnitude > infinity ? nan : bits;
}

// Decoding.

/** Reads the members of a record in order. Checks offsets, never the members themselves. */
class Reader {
  #slots: Uint8Array;
  #tail: Uint8Array;
  #slot = 0;
  #at = 0;

  constructor(bytes: Uint8Array, slots: number) {
    if (bytes.length < slots) fail("the bytes end too early");
    this.#slots = bytes.subarray(0, slots);
    this.#tail = bytes.subarray(slots);
  }

  next(width: number | null): Uint8Array {
    const from = this.#slot;
    this.#slot += width ?? 4;
    const slot = this.#slots.subarray(from, this.#slot);
    if (width !== null) return slot;
    const end = Number(unsigned(slot));
    if (end < this.#at) fail("not the canonical encoding: an offset goes back");
    if (end > this.#tail.length) fail("the bytes end too early");
    const body = this.#tail.subarray(this.#at, end);
    this.#at = end;
    return body;
  }

  end(): void {
    if (this.#slot !== this.#slots.length || this.#at !== this.#tail.length) fail("bytes follow the value");
  }
}

function elements(bytes: Uint8Array, width: number | null): [count: number, reader: Reader] {
  if (bytes.length < 4) fail("the bytes end too early");
  const count = Number(unsigned(bytes.subarray(0, 4)));
  if (width === 0) fail("the value is not of the type");
  return [count, new Reader(bytes.subarray(4), count * (width ?? 4))];
}

function take(type: Type, bytes: Uint8Array, depth: number): unknown {
  depth = deeper(depth);
  if (typeof type === "string") return takeScalar(type, bytes);
  if ("option" in type) {
    const marker = bytes[0];
    if (marker === undefined) fail("the bytes end too early");
    if (marker > 1) fail("not the canonical encoding: an option's marker is 0 or 1");
    if (marker === 0 && bytes.length > 1) fail("bytes follow the value");
    if (marker === 0) return null;
    const some = take(type.option, bytes.subarray(1), depth);
    return isNullable(type.option) ? { some } : some;
  }
  if ("list" in type) {
    const width = widthOf(type.list);
    const [count, reader] = elements(bytes, width);
    const values: unknown[] = [];
    for (let at = 0; at < count; at += 1) values.push(take(type.list, reader.next(width), depth));
    reader.end();
    return values;
  }
  if ("map" in type) return takeMap(type.map, bytes, depth);
  if ("tuple" in type) return takeMembers(type.tuple, bytes, depth);
  if ("struct" in type) return takeFields(type.struct, bytes, depth);
  const [tag, record] = splitU16(bytes);
  const variant = type.enum.find((variant) => variant[1] === tag);
  if (variant === undefined) fail("not the canonical encoding: the enum has no such tag");
  const value = takeFields(variant[2], record, depth);
  return variant[2].length === 0 ? { tag: variant[0] } : { tag: variant[0], value };
}

function takeMembers(types: readonly Type[], bytes: Uint8Array, depth: number): unknown[] {
  const reader = new Reader(bytes, slotsOf(types));
  const values = types.map((type) => take(type, reader.next(widthOf(type)), depth));
  reader.end();
  return values;
}

function takeFields(fields: readonly Field[], bytes: Uint8Array, depth: number): object {
  const values = takeMembers(fields.map(([, type]) => type), bytes, depth);
  const value = {};
  fields.forEach(([name], at) => set(value, name, values[at]));
  return value;
}

function takeMap([key, member]: readonly [Type, Type], bytes: Uint8Array, depth: number): Map<unknown, unknown> {
  if (!isKey(key)) fail("the value is not of the type");
  depth = deeper(depth);
  const types = [key, member];
  const [count, reader] = elements(bytes, sumOf(types));
  const entries: [unknown, unknown][] = [];
  for (let at = 0; at < count; at += 1) {
    const entry = new Reader(reader.next(sumOf(types)), slotsOf(types));
    const [one, other] = [entry.next(widthOf(key)), entry.next(widthOf(member))];
    const pair: [unknown, unknown] = [take(key, one, depth), take(member, other, depth)];
    entry.end();
    const before = entries[at - 1];
    if (before !== undefined && compare(key, before[0], pair[0]) >= 0) {
      fail("not the canonical encoding: a map's keys ascend");
    }
    entries.push(pair);
  }
  reader.end();
  return new Map(entries);
}

function takeScalar(type: Scalar, bytes: Uint8Array): unknown {
  const width = WIDTHS[type];
  if (width !== null && bytes.length < width) fail("the bytes end too early");
  if (width !== null && bytes.length > width) fail("bytes follow the value");
  switch (type) {
    case "bool":
      if (unsigned(bytes) > 1n) fail("not the canonical encoding: a bool is 0 or 1");
      return bytes[0] === 1;
    case "f32":
    case "f64": {
      const single = type === "f32";
      if (canonicalFloat(single, unsigned(bytes)) !== unsigned(bytes)) {
        fail("not the canonical encoding: a float has one zero and one NaN");
      }
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      return single ? view.getFloat32(0, true) : view.getFloat64(0, true);
    }
    case "string":
      try {
        return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
      } catch {
        return fail("a string is not UTF-8");
      }
    case "bytes":
    case "locator":
      return bytes.slice();
    case "principal":
      return hex(bytes);
    case "uuid":
      return hyphenated(hex(bytes));
    case "blob":
      if (bytes[0] !== 1) fail("not the canonical encoding: the hash algorithm is unknown");
      return hex(bytes);
    default: {
      const value = unsigned(bytes);
      const wide = bytes.length > 4;
      const signed = type === "time" || type === "duration" || type.startsWith("i");
      const integer = signed ? BigInt.asIntN(8 * bytes.length, value) : value;
      return wide ? integer : Number(integer);
    }
  }
}

// The JSON form.

function write(type: Type, value: any): Json {
  if (typeof type === "string") return writeScalar(type, value);
  if ("option" in type) {
    if (value === null) return null;
    // JSON has one null: some of none is written as none.
    return write(type.option, isNullable(type.option) ? value.some : value);
  }
  if ("list" in type) return value.map((item: unknown) => write(type.list, item));
  if ("map" in type) {
    const [key, member] = type.map;
    const entries = [...(value as Map<unknown, unknown>)].sort(([a], [b]) => compare(key, a, b));
    return entries.map(([k, v]) => [write(key, k), write(member, v)]);
  }
  if ("tuple" in type) return type.tuple.map((member, at) => write(member, value[at]));
  if ("struct" in type) return writeFields(type.struct, value);
  const [name, , fields] = variantOf(type.enum, value);
  return fields.length === 0 ? name : { [name]: writeFields(fields, value.value) };
}

function writeFields(fields: readonly Field[], value: any): Json {
  const json: { [name: string]: Json } = {};
  for (const [name, type] of fields) set(json, name, write(type, value[name]));
  return json;
}

function writeScalar(type: Scalar, value: any): Json {
  switch (type) {
    case "f32":
    case "f64": {
      const rounded = type === "f32" ? Math.fround(value) : value;
      if (Number.isFinite(rounded)) return rounded === 0 ? 0 : rounded;
      return Number.isNaN(rounded) ? "NaN" : rounded > 0 ? "inf" : "-inf";
    }
    case "bytes":
    case "locator":
      return base64url(value);
    case "time":
      return rfc3339(value);
    default:
      return typeof value === "bigint" ? value.toString() : value;
  }
}

function read(type: Type, json: Json): unknown {
  if (typeof type === "string") return readScalar(type, json);
  if ("option" in type) {
    if (json === null) return null;
    const some = read(type.option, json);
    return isNullable(type.option) ? { some } : some;
  }
  if ("list" in type) {
    if (!Array.isArray(json)) fail(`expected a list, got ${shown(json)}`);
    return json.map((item, at) => within(`item ${at}`, () => read(type.list, item)));
  }
  if ("map" in type) {
    if (!Array.isArray(json)) fail(`expected a list of [key, value] pairs, got ${shown(json)}`);
    const [key, member] = type.map;
    const entries = json.map((pair, at) => within(`entry ${at}`, () => {
      if (!Array.isArray(pair) || pair.length !== 2) fail(`expected a [key, value] pair, got ${shown(pair)}`);
      return [read(key, pair[0] as Json), read(member, pair[1] as Json)] as const;
    }));
    const map = new Map(entries);
    if (map.size !== entries.length) fail("not the canonical encoding: a map's key is there twice");
    return map;
  }
  if ("tuple" in type) {
    const types = type.tuple;
    if (!Array.isArray(json) || json.length !== types.length) {
      fail(`expected a list of ${types.length} values, got ${shown(json)}`);
    }
    return types.map((member, at) => within(`member ${at}`, () => read(member, json[at] as Json)));
  }
  if ("struct" in type) return readFields(type.struct, json);
  const [name, inner] = typeof json === "string" ? [json, {}] : (Object.entries(object(json))[0] ?? ["", {}]);
  if (typeof json !== "string" && Object.keys(object(json)).length !== 1) {
    fail(`expected "variant" or {"variant": {…}}, got ${shown(json)}`);
  }
  const variant = type.enum.find((variant) => variant[0] === name);
  if (variant === undefined) {
    fail(`no variant ${shown(name)}; there are ${type.enum.map((variant) => variant[0]).join(", ")}`);
  }
  const value = within(name, () => readFields(variant[2], inner as Json));
  return variant[2].length === 0 ? { tag: name } : { tag: name, value };
}

function readFields(fields: readonly Field[], json: Json): object {
  const members = object(json);
  const unknown = Object.keys(members).find((key) => !fields.some(([name]) => name === key));
  if (unknown !== undefined) {
    fail(`no field ${JSON.stringify(unknown)}; there are ${fields.map(([name]) => name).join(", ")}`);
  }
  const value = {};
  for (const [name, type] of fields) {
    const there = Object.hasOwn(members, name);
    if (!there && !isNullable(type)) fail(`the field ${JSON.stringify(name)} is missing`);
    set(value, name, within(name, () => read(type, there ? (members[name] as Json) : null)));
  }
  return value;
}

function readScalar(type: Scalar, json: Json): unknown {
  switch (type) {
    case "bool":
      return json;
    case "f32":
    case "f64": {
      if (json === "NaN") return NaN;
      if (json === "inf" || json === "-inf") return json === "inf" ? Infinity : -Infinity;
      if (typeof json !== "number") fail(`expected a number, got ${shown(json)}`);
      return type === "f32" ? Math.fround(json) : json;
    }
    case "string":
      return json;
    case "bytes":
    case "locator":
      return fromBase64url(text(json, "base64url"));
    case "principal":
      return principal(text(json, "a principal"));
    case "uuid":
      return uuid(text(json, "a uuid"));
    case "blob":
      return contentHash(text(json, "a content hash"));
    case "time":
      return fromRfc3339(text(json, "a time"));
    default: {
      const exact = typeof json === "number" ? Number.isSafeInteger(json) : typeof json === "string" && /^-?\d{1,39}$/.test(json);
      if (!exact) fail(`expected ${type}, got ${shown(json)}`);
      const value = BigInt(json as number | string);
      return type === "duration" || (WIDTHS[type] ?? 0) > 4 ? value : Number(value);
    }
  }
}

const TIME = /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?(?:[Zz]|([+-])(\d\d):(\d\d))$/;
/** How a time is written that has no year of four digits. */
const FAR_TIME = /^(-?\d{1,19}) µs since 1970$/;
const SECOND = 1_000_000n;

function rfc3339(time: bigint): string {
  const seconds = floorDivide(time, SECOND);
  const date = new Date(Number(seconds) * 1000);
  const year = date.getUTCFullYear();
  if (!(year >= 0 && year <= 9999)) return `${time} µs since 1970`;
  const microseconds = (time - seconds * SECOND).toString().padStart(6, "0");
  return `${date.toISOString().slice(0, 19)}.${microseconds}Z`;
}

function fromRfc3339(text: string): bigint {
  const far = FAR_TIME.exec(text);
  if (far !== null) return BigInt(far[1] ?? "");
  const match = TIME.exec(text);
  const expected = `expected a time like 2026-01-31T12:00:00Z, got ${shown(text)}`;
  if (match === null) return fail(expected);
  const part = (at: number) => Number(match[at] ?? 0);
  const date = new Date(0);
  date.setUTCFullYear(part(1), part(2) - 1, part(3));
  date.setUTCHours(part(4), part(5), part(6));
  const offset = (match[8] === "-" ? -1 : 1) * (part(9) * 60 + part(10));
  // What overflows into the next unit was no time.
  const same = date.toISOString().slice(0, 19) === `${match[1]}-${match[2]}-${match[3]}T${match[4]}:${match[5]}:${match[6]}`;
  if (!same || part(9) > 23 || part(10) > 59) fail(expected);
  const microseconds = BigInt((match[7] ?? "").padEnd(6, "0"));
  return BigInt(date.getTime() / 1000 - offset * 60) * SECOND + microseconds;
}

const BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

function base64url(bytes: Uint8Array): string {
  let [text, bits, count] = ["", 0, 0];
  for (const byte of bytes) {
    bits = ((bits << 8) | byte) & 0xffff;
    for (count += 8; count >= 6; count -= 6) text += BASE64URL[(bits >> (count - 6)) & 63];
  }
  return count > 0 ? text + BASE64URL[(bits << (6 - count)) & 63] : text;
}

function fromBase64url(text: string): Uint8Array {
  const bytes = new Uint8Array(Math.floor((text.length * 6) / 8));
  let [bits, count, at] = [0, 0, 0];
  for (const letter of text) {
    const value = BASE64URL.indexOf(letter);
    if (value < 0) fail(`expected base64url without padding, got ${shown(text)}`);
    bits = ((bits << 6) | value) & 0xffff;
    count += 6;
    if (count >= 8) {
      count -= 8;
      bytes[at] = (bits >> count) & 0xff;
      at += 1;
    }
  }
  // A letter too much, or bits that no byte has.
  if (count >= 6 || (bits & ((1 << count) - 1)) !== 0) fail(`expected base64url without padding, got ${shown(text)}`);
  return bytes;
}

// What all of these need.

declare const TextEncoder: { new (): { encode(text: string): Uint8Array } };
declare const TextDecoder: {
  new (label: string, options: { fatal: boolean; ignoreBOM: boolean }): { decode(bytes: Uint8Array): string };
};

function fail(why: string): never {
  throw new CodecError(why);
}

function within<T>(place: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw error instanceof CodecError ? new CodecError(`${place}: ${error.message}`) : error;
  }
}

function deeper(depth: number): number {
  if (depth <= 0) fail("over the limit TYPE_DEPTH_MAX");
  return depth - 1;
}

function bounded(bytes: number): void {
  if (bytes > VALUE_BYTES_MAX) fail("over the limit VALUE_BYTES_MAX");
}

/** A property of its own, whatever its name means to prototypes. */
function set(target: object, name: string, value: unknown): void {
  Object.defineProperty(target, name, { value, enumerable: true, configurable: true, writable: true });
}

function variantOf(variants: readonly Variant[], value: any): Variant {
  const found = variants.find(([name]) => typeof value === "object" && value !== null && name === value.tag);
  return found ?? fail(`expected { tag: … } of ${variants.map(([name]) => name).join(", ")}, got ${shown(value)}`);
}

/** An integer of this type: a bigint from 64 bits on, a number below. */
function integer(type: Scalar, value: unknown): bigint | number {
  const width = BigInt(8 * (WIDTHS[type] ?? 0));
  const [least, most] = type.startsWith("i") ? [-(1n << (width - 1n)), (1n << (width - 1n)) - 1n] : [0n, (1n << width) - 1n];
  const integral = width >= 64n ? typeof value === "bigint" : Number.isInteger(value);
  if (!integral || (value as bigint) < least || (value as bigint) > most) fail(`expected ${type}, got ${shown(value)}`);
  return value as bigint | number;
}

function splitU16(bytes: Uint8Array): [number: number, rest: Uint8Array] {
  if (bytes.length < 2) fail("the bytes end too early");
  return [Number(unsigned(bytes.subarray(0, 2))), bytes.subarray(2)];
}

function unsigned(bytes: Uint8Array): bigint {
  return bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

function floorDivide(value: bigint, by: bigint): bigint {
  return value / by - (value % by < 0n ? 1n : 0n);
}

function utf8(text: string): Uint8Array {
  // The encoder would put another character in the place of half a pair.
  if (/\p{Surrogate}/u.test(text)) fail("a string is not UTF-8");
  return new TextEncoder().encode(text);
}

function digits(text: string, count: number, what: string): string {
  const hex = text.toLowerCase();
  if (hex.length !== count || !/^[0-9a-f]*$/.test(hex)) fail(`expected ${what} of ${count} hexadecimal digits, got ${shown(text)}`);
  return hex;
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function unhex(text: string): Uint8Array {
  return Uint8Array.from({ length: text.length / 2 }, (_, at) => Number.parseInt(text.slice(2 * at, 2 * at + 2), 16));
}

function hyphenated(hex: string): string {
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

function object(json: Json): { [name: string]: Json } {
  if (typeof json !== "object" || json === null || Array.isArray(json)) fail(`expected an object, got ${shown(json)}`);
  return json;
}

function text(json: Json, what: string): string {
  return typeof json === "string" ? json : fail(`expected ${what}, got ${shown(json)}`);
}

function shown(value: unknown): string {
  const text = typeof value === "bigint" ? `${value}n` : (JSON.stringify(value, (_, one) => (typeof one === "bigint" ? `${one}n` : one)) ?? String(value));
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
