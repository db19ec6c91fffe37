//! Stubs and dispatchers: what is checked, and the bytes that travel.

use expect_test::{Expect, expect};
use futures::executor::block_on;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use isx_iface::{Call, Delivery, Error, Object, ObjectRef, async_trait, interface, refusing};
use isx_row::codec::encode_record;
use isx_row::{Bytes, Code, Field, Signature, Type, Value};
use std::sync::Arc;

interface! {
    /// For tests.
    "test.Shelf": trait Shelf, stub ShelfStub, served by serve_shelf {
        /// The arguments again, told.
        call fn tell(count: u32, name: String, bytes: Option<Bytes>) -> String;
        /// Nothing.
        call fn touch() -> ();
        /// Refuses.
        call fn refuse() -> u64;
        /// A shelf below.
        object fn below(name: String) -> ShelfStub;
        /// Numbers below `end`.
        stream fn count(end: u64) -> u64;
    }
}

#[derive(Default)]
struct Wood(String);

#[async_trait]
impl Shelf for Wood {
    async fn tell(&self, count: u32, name: String, bytes: Option<Bytes>) -> Result<String, Error> {
        Ok(format!("{}{count} {name} {bytes:?}", self.0))
    }
    async fn touch(&self) -> Result<(), Error> {
        Ok(())
    }
    async fn refuse(&self) -> Result<u64, Error> {
        Err(Error::new(Code::Conflict, "no"))
    }
    async fn below(&self, name: String) -> Result<ShelfStub, Error> {
        Ok(ShelfStub(serve_shelf(Self(format!("{}{name}/", self.0)))))
    }
    async fn count(&self, end: u64) -> Result<BoxStream<'static, Result<u64, Error>>, Error> {
        Ok(stream::iter((0..end).map(Ok)).boxed())
    }
}

fn shelf() -> (ObjectRef, ShelfStub) {
    let object = serve_shelf(Wood::default());
    (object.clone(), ShelfStub(object))
}

fn call(method: &str, signature: Signature, payload: &[u8]) -> Call {
    let delivery = Delivery::default();
    Call {
        method: method.into(),
        signature,
        payload: payload.to_vec(),
        objects: Vec::new(),
        conditions: Vec::new(),
        delivery,
    }
}

#[test]
fn a_stub_says_what_its_object_does() {
    block_on(async {
        let (object, shelf) = shelf();
        assert_eq!(shelf.tell(3, "x".into(), Some(Bytes(vec![1]))).await.unwrap(), "3 x Some(Bytes([1]))");
        shelf.touch().await.unwrap();
        assert_eq!(shelf.refuse().await.unwrap_err(), Error::new(Code::Conflict, "no"));
        let far = shelf.below("a".into()).await.unwrap().below("b".into()).await.unwrap();
        assert_eq!(far.tell(1, String::new(), None).await.unwrap(), "a/b/1  None");
        let numbers: Vec<_> = shelf.count(3).await.unwrap().map(Result::unwrap).collect().await;
        assert_eq!(numbers, [0, 1, 2]);
        assert_eq!(object.whois().await.unwrap(), "test.Shelf");
    });
}

#[test]
fn the_bytes_are_those_of_the_codec() {
    let told = ShelfStub::interface().call("tell", &(7_u32, "name".to_string(), Some(Bytes(vec![9])))).unwrap();
    let field = |name: &str, ty| Field { name: name.into(), ty };
    let fields =
        [field("count", Type::U32), field("name", Type::String), field("bytes", Type::Option(Box::new(Type::Bytes)))];
    let bytes = Value::Option(Some(Box::new(Value::Bytes(vec![9]))));
    let values = [Value::U32(7), Value::String("name".into()), bytes];
    assert_eq!(told.payload, encode_record(0, &fields, &values).unwrap());
    assert_eq!(told.signature, isx_row::schema::signature("tell", &fields, &Type::String));
}

fn check(method: &str, signature: Signature, payload: &[u8], expected: Expect) {
    let (object, _) = shelf();
    let called = block_on(object.call(call(method, signature, payload))).map(drop);
    let followed = block_on(object.stream(call(method, signature, payload))).map(drop);
    let told = |result: Result<(), Error>| result.map_or_else(|error| error.to_string(), |()| "ok".into());
    expected.assert_eq(&format!("call: {}; stream: {}", told(called), told(followed)));
}

#[test]
fn methods_signatures_and_arguments_are_checked() {
    check(
        "missing",
        Signature::ANY,
        &[0, 0],
        expect!["call: not_found: test.Shelf has no such method; stream: not_found: test.Shelf has no such method"],
    );
    check(
        "",
        Signature([1; 16]),
        &[],
        expect!["call: not_found: test.Shelf has no such method; stream: not_found: test.Shelf has no such method"],
    );
    check("touch", Signature::ANY, &[0, 0], expect!["call: ok; stream: not_found: test.Shelf has no such method"]);
    check(
        "touch",
        Signature([1; 16]),
        &[0, 0],
        expect!["call: stale_bindings: test.Shelf:touch; stream: not_found: test.Shelf has no such method"],
    );
    check(
        "touch",
        Signature::ANY,
        &[0, 0, 0],
        expect!["call: bad_arguments: touch: bytes follow the value; stream: not_found: test.Shelf has no such method"],
    );
    check(
        "touch",
        Signature::ANY,
        &[],
        expect![
            "call: bad_arguments: touch: the bytes end too early; stream: not_found: test.Shelf has no such method"
        ],
    );
    check(
        "below",
        Signature::ANY,
        &[0, 0, 9, 0, 0, 0],
        expect![
            "call: bad_arguments: below: the bytes end too early; stream: not_found: test.Shelf has no such method"
        ],
    );
    check(
        "count",
        Signature::ANY,
        &[0, 0, 1, 0, 0, 0, 0, 0, 0, 0],
        expect!["call: not_found: test.Shelf has no such method; stream: ok"],
    );
}

#[test]
fn a_promised_object_is_called_once_it_is_here() {
    block_on(async {
        let (object, _) = shelf();
        let below = ShelfStub::interface().call("below", &("a".to_string(),)).unwrap();
        let far = ShelfStub(object.clone().first(below.clone()).first(below));
        assert_eq!(far.tell(1, "x".into(), None).await.unwrap(), "a/a/1 x None");
        assert_eq!(far.0.whois().await.unwrap(), "test.Shelf");
        let missing = ShelfStub(object.clone().first(call("missing", Signature::ANY, &[0, 0])));
        assert_eq!(missing.touch().await.unwrap_err().code, Code::NotFound);
        let nothing = ShelfStub(object.first(call("touch", Signature::ANY, &[0, 0])));
        assert_eq!(nothing.touch().await.unwrap_err().code, Code::Malformed);
        let refused = refusing(Error::new(Code::Gone, "gone"));
        assert_eq!(ShelfStub(refused).count(1).await.map(drop).unwrap_err().code, Code::Gone);
    });
}

#[test]
fn an_answer_that_does_not_decode_is_malformed() {
    /// Answers everything with the same bytes.
    struct Liar;
    #[async_trait]
    impl Object for Liar {
        async fn call(&self, _: Call) -> Result<isx_iface::Answer, Error> {
            Ok(isx_iface::Answer { payload: vec![0, 0, 1], ..Default::default() })
        }
        async fn stream(&self, _: Call) -> Result<isx_iface::Items, Error> {
            let cursor = Default::default();
            Ok(stream::iter([Ok(isx_iface::Item { cursor, payload: vec![0, 0, 1] })]).boxed())
        }
        async fn whois(&self) -> Result<String, Error> {
            Ok("test.Shelf".into())
        }
    }
    block_on(async {
        let liar = ShelfStub(Arc::new(Liar));
        assert_eq!(liar.refuse().await.unwrap_err().code, Code::Malformed);
        assert_eq!(liar.below("x".into()).await.map(drop).unwrap_err().code, Code::Malformed);
        let mut items = liar.count(1).await.unwrap();
        assert_eq!(items.next().await.unwrap().unwrap_err().code, Code::Malformed);
    });
}
