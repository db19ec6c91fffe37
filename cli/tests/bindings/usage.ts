// Uses bindings of the probe as their reader would: what compiles, what must not, and what it does.

import { dateOf, deletes, duration, module, principal, puts, queries, reducers, tables, time, timeOfDate } from "./probe.js";
import type { Account, Callable, ItemsWhich, Player } from "./probe.js";

function same(one: unknown, other: unknown): void {
  const text = (value: unknown) => JSON.stringify(value, (_, part) => (typeof part === "bigint" ? `${part}n` : part));
  if (text(one) !== text(other)) throw new Error(`${text(one)} is not ${text(other)}`);
}

const account: Account = { name: "ada", number: 7n, balance: 12n };
same(tables.account.row.decode(tables.account.row.encode(account)), account);
same(tables.account.row.toJson(account), { name: "ada", number: "7", balance: "12" });
// @ts-expect-error: 64 bits are a bigint.
const wrongNumber: Account = { name: "ada", number: 7, balance: 12n };
// @ts-expect-error: a row is whole.
const wrongRow: Account = { name: "ada", number: 7n };
void [wrongNumber, wrongRow];

const which: ItemsWhich = { tag: "in_room_from", value: { _0: 3, _1: "lamp" } };
const asked = queries.items.arguments.encode({ which, reverse: false, count: 2 });
same(queries.items.arguments.decode(asked), { which, reverse: false, count: 2 });
// @ts-expect-error: there is no such variant.
const wrongVariant: ItemsWhich = { tag: "nowhere" };
// @ts-expect-error: a query's arguments are all of them.
const wrongArguments = () => queries.items.arguments.encode({ which, reverse: false });
void [wrongVariant, wrongArguments];

/** A caller over any transport: types follow from the function. */
function call<A, R, F>(callable: Callable<A, R, F>, given: A, transport: (bytes: Uint8Array) => Uint8Array): R {
  return callable.answer.decode(transport(callable.arguments.encode(given)));
}
const left: bigint = call(reducers.withdraw, { name: "ada", amount: 2n }, () => reducers.withdraw.answer.encode(10n));
same(left, 10n);
const failure = reducers.withdraw.failure.fromJson({ too_little: { balance: "3" } });
if (failure.tag !== "too_little") throw new Error(failure.tag);
const balance: bigint = failure.value.balance;
same(balance, 3n);

// A row that is older than three of its columns has their defaults.
const player: Player = { name: "ada", score: 5n, room: "hall", rank: 3, partner: null, plan: { tag: "paid" } };
const row = tables.player.row.encode(player);
same(row[0], tables.player.version);
const old = Uint8Array.from([1, 0, 3, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 97, 100, 97]);
same(tables.player.row.decode(old), { name: "ada", score: 5n, room: "lobby", rank: -1, partner: null, plan: { tag: "free" } });
const newer = row.map((byte, at) => (at === 0 ? byte + 1 : byte));
let refused = "";
try {
  tables.player.row.decode(newer);
} catch (error) {
  refused = (error as Error).message;
}
if (!refused.includes("make them again")) throw new Error(refused);

same(dateOf(timeOfDate(new Date(86_400_000))).toISOString(), "1970-01-02T00:00:00.000Z");
same(time(-1n) < time(0n), true);
// @ts-expect-error: a length of time is no point of it.
const wrongTime: ReturnType<typeof time> = duration(1n);
void wrongTime;
// The caller's rows of a volatile table are put without who he is.
const put = puts.cursor.arguments.encode({ hand: 1, x: 2.5, label: "here" });
same([puts.cursor.kind, puts.cursor.name, puts.cursor.signature], ["put", "cursor.put", tables.cursor.signature]);
same(puts.cursor.arguments.decode(put), { hand: 1, x: 2.5, label: "here" });
same(deletes.cursor.arguments.decode(deletes.cursor.arguments.encode({ hand: 1 })), { hand: 1 });
// @ts-expect-error: nobody says who he is.
const forged = () => puts.cursor.arguments.encode({ hand: 1, who: principal("00".repeat(32)), x: 2.5, label: "here" });
void forged;
same(module.name, "probe");
