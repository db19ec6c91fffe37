//! The declaration of an interface: what it has as data, and the [`interface!`](crate::interface) macro that makes
//! trait, stub and dispatcher from it.

use crate::object::{Call, Delivery, Item, Items};
use crate::payload;
use futures::{StreamExt, TryStreamExt};
use isx_row::schema::signature;
use isx_row::{Code, Error, Field, Incarnation, Revision, Signature, Type, Typed};

#[doc(no_inline)]
pub use crate::promise::object_of;
#[doc(no_inline)]
pub use futures::stream::BoxStream;

/// What a method gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MethodKind {
    /// A value.
    Call,
    /// An object, beside an empty value.
    Object,
    /// A stream of values.
    Stream,
}

/// A method as data.
#[derive(Clone, Debug)]
pub struct Method {
    /// The name.
    pub name: &'static str,
    /// What it gives.
    pub kind: MethodKind,
    /// Its arguments.
    pub arguments: Vec<Field>,
    /// The type of its answer or items; `locator` for an object.
    pub answer: Type,
    /// What calls are typed against.
    pub signature: Signature,
}

/// An interface as data, for tools and for tests that grow with it.
#[derive(Clone, Debug)]
pub struct Interface {
    /// The name that [`crate::Object::whois`] answers.
    pub name: &'static str,
    /// The methods, in the order of the declaration.
    pub methods: Vec<Method>,
}

impl Interface {
    /// The method called `name`.
    pub fn method(&self, name: &str) -> Option<&Method> {
        self.methods.iter().find(|method| method.name == name)
    }

    /// The method that `call` means, if it has this kind and the caller was typed against it.
    ///
    /// # Errors
    /// `not_found` for a name the interface lacks or has in another kind, `stale_bindings` for another signature.
    pub fn checked(&self, call: &Call, of: &[MethodKind]) -> Result<&Method, Error> {
        let method = self.method(&call.method).filter(|method| of.contains(&method.kind));
        let method = method.ok_or_else(|| self.lacks())?;
        if !call.conditions.is_empty() {
            let text = format!("{} is no mount: its calls have no preconditions", self.name);
            return Err(Error::new(Code::Unsupported, text));
        }
        if call.signature != Signature::ANY && call.signature != method.signature {
            return Err(Error::new(Code::StaleBindings, format!("{}:{}", self.name, method.name)));
        }
        Ok(method)
    }

    /// The refusal of a method it does not have.
    pub fn lacks(&self) -> Error {
        Error::new(Code::NotFound, format!("{} has no such method", self.name))
    }

    /// The call of `method` with a tuple of arguments.
    ///
    /// # Errors
    /// `limit` when the arguments are too large.
    pub fn call<T: Typed>(&self, method: &str, arguments: &T) -> Result<Call, Error> {
        Ok(Call {
            method: method.to_owned(),
            signature: self.method(method).map_or(Signature::ANY, |method| method.signature),
            payload: payload::encode(arguments)?,
            objects: Vec::new(),
            conditions: Vec::new(),
            delivery: Delivery::default(),
        })
    }
}

impl Method {
    /// Declares a method.
    pub fn new(name: &'static str, kind: MethodKind, arguments: Vec<Field>, answer: Type) -> Self {
        let signature = signature(name, &arguments, &answer);
        Self { name, kind, arguments, answer, signature }
    }
}

/// The items of a typed stream that can not be continued at a cursor.
pub fn items_of<T: Typed + Send + 'static>(values: BoxStream<'static, Result<T, Error>>) -> Items {
    values
        .map(|value| {
            let cursor = (Incarnation::default(), Revision::default());
            value.and_then(|value| Ok(Item { cursor, payload: payload::encode_value(value)? }))
        })
        .boxed()
}

/// The values of a stream of items.
pub fn values_of<T: Typed + Send + 'static>(items: Items) -> BoxStream<'static, Result<T, Error>> {
    items.and_then(|item| std::future::ready(payload::decode_value(&item.payload))).boxed()
}

/// Declares an interface: a trait to implement, a stub that implements it over an [`ObjectRef`], and a function that
/// makes an [`ObjectRef`] of an implementation.
///
/// Methods are `call fn` (gives a value), `object fn` (gives an object, named by a stub or [`ObjectRef`]) or
/// `stream fn` (gives a stream of values). Arguments and values are [`Typed`]. See the crate's example.
#[macro_export]
macro_rules! interface {
    (
        $(#[$attribute:meta])*
        $name:literal: trait $interface:ident, stub $stub:ident, served by $serve:ident {
            $($(#[$doc:meta])* $kind:ident fn $method:ident($($argument:ident: $ty:ty),* $(,)?) -> $answer:ty;)*
        }
    ) => {
        $(#[$attribute])*
        #[$crate::async_trait]
        pub trait $interface: Send + Sync + 'static {
            $($(#[$doc])*
            async fn $method(&self $(, $argument: $ty)*) -> Result<$crate::__answer!($kind, $answer), $crate::Error>;)*
        }

        #[doc = concat!("Calls an object of [`", stringify!($interface), "`].")]
        #[derive(Clone)]
        pub struct $stub(
            /// The object called.
            pub $crate::ObjectRef,
        );

        impl $stub {
            /// The interface as data.
            pub fn interface() -> &'static $crate::Interface {
                static INTERFACE: std::sync::OnceLock<$crate::Interface> = std::sync::OnceLock::new();
                INTERFACE.get_or_init(|| $crate::Interface {
                    name: $name,
                    methods: vec![$($crate::Method::new(
                        stringify!($method),
                        $crate::__kind!($kind),
                        vec![$($crate::payload::Field {
                            name: stringify!($argument).into(),
                            ty: <$ty as $crate::payload::Typed>::ty(),
                        }),*],
                        $crate::__type!($kind, $answer),
                    )),*],
                })
            }
        }

        impl From<$crate::ObjectRef> for $stub {
            fn from(object: $crate::ObjectRef) -> Self {
                Self(object)
            }
        }

        impl From<$stub> for $crate::ObjectRef {
            fn from(stub: $stub) -> Self {
                stub.0
            }
        }

        #[$crate::async_trait]
        impl $interface for $stub {
            $(async fn $method(&self $(, $argument: $ty)*) -> Result<$crate::__answer!($kind, $answer), $crate::Error> {
                let call = Self::interface().call(stringify!($method), &($($argument,)*))?;
                $crate::__ask!($kind, &self.0, call)
            })*
        }

        #[doc = concat!("The object that `served` is: checks method, signature and arguments of each call.")]
        pub fn $serve(served: impl $interface) -> $crate::ObjectRef {
            struct Served<T>(T);

            #[$crate::async_trait]
            impl<T: $interface> $crate::Object for Served<T> {
                async fn call(&self, call: $crate::Call) -> Result<$crate::Answer, $crate::Error> {
                    use $crate::MethodKind::{Call, Object};
                    let method = $stub::interface().checked(&call, &[Call, Object])?;
                    $(if method.name == stringify!($method) {
                        return $crate::__serve!($kind, call, self.0, $method, call, $($argument: $ty),*);
                    })*
                    Err($stub::interface().lacks())
                }

                async fn stream(&self, call: $crate::Call) -> Result<$crate::Items, $crate::Error> {
                    let method = $stub::interface().checked(&call, &[$crate::MethodKind::Stream])?;
                    $(if method.name == stringify!($method) {
                        return $crate::__serve!($kind, stream, self.0, $method, call, $($argument: $ty),*);
                    })*
                    Err($stub::interface().lacks())
                }

                async fn whois(&self) -> Result<String, $crate::Error> {
                    Ok($name.to_owned())
                }
            }

            std::sync::Arc::new(Served(served))
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __answer {
    (stream, $answer:ty) => { $crate::declaration::BoxStream<'static, Result<$answer, $crate::Error>> };
    ($kind:ident, $answer:ty) => { $answer };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __kind {
    (call) => {
        $crate::MethodKind::Call
    };
    (object) => {
        $crate::MethodKind::Object
    };
    (stream) => {
        $crate::MethodKind::Stream
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __type {
    (object, $answer:ty) => {
        $crate::payload::Type::Locator
    };
    ($kind:ident, $answer:ty) => {
        <$answer as $crate::payload::Typed>::ty()
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __ask {
    (call, $object:expr, $call:expr) => {
        $crate::payload::value_of(&$object.call($call).await?)
    };
    (object, $object:expr, $call:expr) => {
        $crate::declaration::object_of($object.call($call).await?.objects).map(Into::into)
    };
    (stream, $object:expr, $call:expr) => {
        $object.stream($call).await.map($crate::declaration::values_of)
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __serve {
    (call, call, $object:expr, $method:ident, $call:ident, $($argument:ident: $ty:ty),*) => {{
        let ($($argument,)*): ($($ty,)*) = $crate::payload::decode(&$call)?;
        Ok($crate::Answer {
            payload: $crate::payload::encode_value($object.$method($($argument),*).await?)?,
            ..Default::default()
        })
    }};
    (object, call, $object:expr, $method:ident, $call:ident, $($argument:ident: $ty:ty),*) => {{
        let ($($argument,)*): ($($ty,)*) = $crate::payload::decode(&$call)?;
        Ok($crate::Answer {
            payload: $crate::payload::encode_value(())?,
            objects: vec![$object.$method($($argument),*).await?.into()],
            ..Default::default()
        })
    }};
    (stream, stream, $object:expr, $method:ident, $call:ident, $($argument:ident: $ty:ty),*) => {{
        let ($($argument,)*): ($($ty,)*) = $crate::payload::decode(&$call)?;
        $object.$method($($argument),*).await.map($crate::declaration::items_of)
    }};
    // The kind was checked before: a method never reaches the arm of another kind.
    ($kind:ident, $arm:ident, $($rest:tt)*) => { Err($crate::Error::new($crate::payload::Code::NotFound, "no such method")) };
}
