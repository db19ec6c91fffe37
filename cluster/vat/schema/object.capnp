# The wire of a vat: one generic object. What methods mean is said by interfaces (isx-iface), not here.
#
# The build reads `object.cgr`, which is made from this file by
#   cd cluster/vat/schema && capnp compile -o- object.capnp > object.cgr
# Bounds of lengths and counts are in `src/limits.rs`; both sides check them.

@0xaf3580a97714326f;

struct Failure {
  # Why something did not happen. Crosses as data: a capnp exception means that the connection or the peer is at fault.

  code @0 :UInt16;
  # The number of an `isx_row::Code`; an unknown number is read as `unknown`.

  text @1 :Text;
  # Safe text, at most ERROR_TEXT_BYTES_MAX bytes.

  retryAfterMs @2 :UInt32;
  # For class `busy`: milliseconds plus one after which to try again; 0 when nothing is said.
}

struct Cursor {
  # A place in the changes of a mount.

  incarnation @0 :UInt64;
  revision @1 :UInt64;
}

struct Session {
  # Exactly-once coordinates: the answer to (id, sequence) never changes.

  id @0 :Data;
  # 16 bytes.

  sequence @1 :UInt64;
  # The call's number in the session, from 1.

  doneBelow @2 :UInt64;
  # Every sequence below has been answered and may be forgotten.
}

struct Call {
  method @0 :Text;
  # The method's name, at most METHOD_BYTES_MAX bytes.

  signature @1 :Data;
  # 16 bytes: what the caller was typed against; empty when it read the schema.

  payload @2 :Data;
  # The arguments in the canonical encoding, at most VALUE_BYTES_MAX bytes.

  objects @3 :List(Object);
  # References passed along, at most OBJECTS_PER_CALL_MAX. They live until the callee drops them.

  session @4 :Session;
  # Null for a call that is made once.

  withinMs @5 :UInt64;
  # Milliseconds that the caller waits; 0 leaves it to the callee. The callee's own bound holds besides.

  revisionMin @6 :UInt64;
  # One more than the revision that the answer must have seen; 0 for any.

  after @7 :Cursor;
  # For streams: continue after this; null begins at the present state.

  conditions @8 :Data;
  # What must hold of a mount for the call to be made: a canonical list of `isx_row::Condition`, at most CONDITIONS_MAX in
  # CONDITIONS_BYTES_MAX; empty for nothing.
}

struct Answer {
  payload @0 :Data;
  # A record of one member, at most VALUE_BYTES_MAX bytes.

  objects @1 :List(Object);
  # References passed back, at most OBJECTS_PER_CALL_MAX. They live until the caller drops them.

  revision @2 :UInt64;
  # One more than the revision the call committed at or read; 0 when it has none.

  applicationError @3 :Data;
  # The callee's own typed error, encoded; null when the call answered none.
}

struct Outcome {
  union {
    answer @0 :Answer;
    failure @1 :Failure;
  }
}

struct Item {
  cursor @0 :Cursor;
  # Where to continue after this item; zeros for a stream that can not be continued.

  payload @1 :Data;
  # A record of one member, at most VALUE_BYTES_MAX bytes.
}

interface Object {
  # What can be called. A reference lives until it is dropped or the connection ends; the node may revoke it before,
  # after which everything answers `gone`.

  call @0 (call :Call) -> (first :Object, outcome :Outcome);
  # Calls a method. `first` is the first object of the answer, so that it can be called before the answer is here; it is
  # null when the call failed. Idempotent under a session, else as the method says.

  batch @1 (calls :List(Call)) -> (outcomes :List(Outcome));
  # Calls many methods, at most BATCH_CALLS_MAX, each checked and answered apart, in order: as many outcomes as calls.

  stream @2 (call :Call) -> (source :Source, failure :Failure);
  # Opens a stream; `failure` is null when there is one.

  whois @3 () -> (name :Text, failure :Failure);
  # The name of the object's interface. Idempotent.

  save @4 () -> (token :Data, failure :Failure);
  # A token that restores the reference later. A node without saved references answers `unsupported`.
}

interface Source {
  # A stream's producer. Dropping it ends the stream.

  next @0 (count :UInt32) -> (items :List(Item), ended :Bool, failure :Failure);
  # Credit for `count` more items, at most STREAM_CREDIT_MAX: answers between one and `count` of them as soon as there
  # is one. `ended` says that none follow, `failure` (null when all is well) why. One `next` at a time. Not idempotent.
}
