//! Defines what both sides of every boundary of isx must agree on: ids, types, schemas, the canonical encoding, key
//! order, error codes and shared limits.
//!
//! `no_std` with `alloc`, so that guests, hosts, logs and tools run the same code. A value has one encoding
//! ([`codec`]), a key has one byte order ([`key`]), a function has one [`signature`](schema::signature).
//!
//! Knows nothing of anything else in the workspace.
//!
//! # Invariants
//! - One encoding a value, and keys in the order of values: `tests/laws.rs`; Rust types agree: `tests/typed.rs`.
//! - Hostile bytes are refused without a panic and without memory: `tests/hostile.rs`.
//! - A schema is read, never executed, and has one encoding: `tests/section.rs`, `tests/schema.rs`.
//! - Formats do not change: `tests/vectors.rs` against `vectors/`.
//!
//! # Example
//! ```
//! use isx_row::{codec, key, Type, Value};
//!
//! let ty = Type::Tuple(vec![Type::String, Type::I16]);
//! let value = Value::Tuple(vec![Value::String("a".into()), Value::I16(-1)]);
//! let mut bytes = Vec::new();
//! codec::encode(&ty, &value, &mut bytes)?;
//! assert_eq!(bytes, [1, 0, 0, 0, 0xff, 0xff, b'a']);
//! assert_eq!(codec::decode(&ty, &bytes)?, value);
//!
//! let mut key_bytes = Vec::new();
//! key::append(&ty, &bytes, &mut key_bytes)?;
//! assert_eq!(key_bytes, [b'a', 0, 0, 0x7f, 0xff]);
//! # Ok::<(), codec::CodecError>(())
//! ```

#![no_std]
extern crate alloc;

pub mod codec;
pub mod condition;
pub mod cron;
pub mod desc;
pub mod error;
pub mod ids;
pub mod key;
pub mod limits;
pub mod schema;
pub mod typed;
pub mod types;

pub use condition::{Condition, RowKey};
pub use error::{Class, Code, Error};
pub use ids::{
    ContentHash, Fence, HomeId, Incarnation, MountId, ObjectId, Principal, Revision, Sequence, SessionId, Signature,
    Span, Time,
};
pub use typed::{Bytes, Locator, Typed, Uuid};
pub use types::{Field, Type, Value, Variant};
