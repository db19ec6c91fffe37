//! The committed code-generator request and the schema go together.

use isx_row::ContentHash;

/// The schema that `object.cgr` was made from.
const MADE_FROM: &str = "01342782defeafbde9b937d76b36bc5de7db710a439210ed03024100354a5f7088";

#[test]
fn the_request_was_made_from_the_schema() {
    let schema = ContentHash::of(include_bytes!("../../schema/object.capnp")).to_string();
    assert_eq!(
        schema, MADE_FROM,
        "make it again: cd cluster/vat/schema && capnp compile -o- object.capnp > object.cgr; then note the hash here"
    );
}
