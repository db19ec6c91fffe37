//! How functions fail: with isx's error, with the module's own, or with either.

use crate::module::bindings::Failure as Refused;
use crate::module::bindings::isx::module::types::{Fault, Refusal};
use isx_row::codec::CodecError;
use isx_row::desc::TypeDesc;
use isx_row::typed::encode_answer;
use isx_row::{Code, Error, Typed};
use std::convert::Infallible;

/// What reducers and queries may fail with.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no error that a reducer or query may return",
    note = "return `isx::Error`, put `#[derive(isx::Typed, isx::Failure)]` on your own error, or return \
            `isx::Failed<YourError>` where tables are used too"
)]
pub trait Failure {
    /// Its type, where it is the module's own.
    #[doc(hidden)]
    const __DESC: Option<&'static TypeDesc>;
    #[doc(hidden)]
    fn __fail(self) -> Refused;
}

/// Why a function failed that has an error of its own and uses tables: `?` takes both.
///
/// The schema has the own type `E` and nothing else. The caller gets `Own` as its typed answer, `System` as the error that
/// it is, its code kept: a full mount is never told as one of the module's refusals.
///
/// ```
/// use isx::{Failed, ReducerContext};
///
/// isx::module!();
///
/// #[isx::table]
/// struct Account {
///     #[primary_key]
///     name: String,
///     balance: u64,
/// }
///
/// #[derive(Debug, PartialEq, isx::Typed, isx::Failure)]
/// enum Refusal {
///     #[tag(1)]
///     NoAccount,
///     #[tag(2)]
///     TooLittle { balance: u64 },
/// }
///
/// #[isx::reducer(reads(account), updates(account))]
/// fn withdraw(ctx: &ReducerContext, name: String, amount: u64) -> Result<u64, Failed<Refusal>> {
///     let account = ctx.db.account().get(&name)?.ok_or(Refusal::NoAccount)?;
///     let balance = account.balance.checked_sub(amount).ok_or(Refusal::TooLittle { balance: account.balance })?;
///     ctx.db.account().update(&Account { name, balance })?;
///     Ok(balance)
/// }
/// ```
///
/// A function that returns its own error alone can not pass on a table's:
/// ```compile_fail,E0277
/// # isx::module!();
/// # #[isx::table]
/// # struct Account { #[primary_key] name: String, balance: u64 }
/// # #[derive(isx::Typed, isx::Failure)]
/// # enum Refusal { #[tag(1)] NoAccount }
/// #[isx::reducer]
/// fn close(ctx: &isx::ReducerContext, name: String) -> Result<(), Refusal> {
///     ctx.db.account().delete(&name)?;
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failed<E> {
    /// The module decided so.
    Own(E),
    /// An operation's error, passed on.
    System(Error),
}

/// The other half of `?`, from the own error, is what `#[derive(isx::Failure)]` makes: one for every type would take this
/// one's place for `E = Error`.
impl<E> From<Error> for Failed<E> {
    fn from(error: Error) -> Self {
        Self::System(error)
    }
}

impl<E: Failure> Failure for Failed<E> {
    const __DESC: Option<&'static TypeDesc> = E::__DESC;

    fn __fail(self) -> Refused {
        match self {
            Self::Own(error) => error.__fail(),
            Self::System(error) => error.__fail(),
        }
    }
}

impl Failure for Error {
    const __DESC: Option<&'static TypeDesc> = None;

    fn __fail(self) -> Refused {
        match self.code {
            Code::Application => Refused::Application(Refusal { detail: Vec::new(), text: self.text }),
            code => Refused::Fault(Fault { code: code as u16, text: self.text }),
        }
    }
}

/// What no type has: `#[derive(isx::Failure)]` asks for it where a table's error would become the module's own.
#[diagnostic::on_unimplemented(
    message = "an error of isx does not become the module's own error",
    label = "return `Result<_, isx::Failed<YourError>>`: `?` takes both errors, and the caller gets each as it is"
)]
pub trait BecomesOwn {
    /// What there is no way to come by.
    fn never() -> Infallible;
}

/// The module's own refusal, with a text for people: rolls the call back.
pub fn refused(text: impl Into<String>) -> Error {
    Error::new(Code::Application, text)
}

/// A typed error as its `Failure` reports it: encoded like an answer.
pub fn typed_failure<E: Typed>(error: E, text: &str) -> Refused {
    match encode_answer(error) {
        Ok(detail) => Refused::Application(Refusal { detail, text: text.to_owned() }),
        Err(error) => fault_of(error),
    }
}

/// The host's fault as an error.
pub fn error_of(fault: Fault) -> Error {
    Error::new(Code::from_number(fault.code).unwrap_or(Code::Unsupported), fault.text)
}

/// What does not encode, as a fault.
pub fn fault_of(error: CodecError) -> Refused {
    Error::from(error).__fail()
}
