//! Functions as tests name them: `module.call(greet, …)`.

use isx::Typed;

/// A reducer, query or view of the module, with its context `C`: the function itself. `Kind` tells functions that return a
/// `Result` from others, and is never written.
#[diagnostic::on_unimplemented(
    message = "this is not a function that can be called so",
    note = "give a reducer to `call`, a query to `query` and a view to `view`: the function itself, which has at most 8 arguments"
)]
pub trait Callable<C, Kind> {
    /// Its arguments after the context: a tuple.
    type Arguments: Typed;
    /// Its answer.
    type Answer: Typed;
}

/// It returns a `Result`.
#[doc(hidden)]
#[derive(Debug)]
pub enum Fallible {}

/// It returns its answer.
#[doc(hidden)]
#[derive(Debug)]
pub enum Plain {}

macro_rules! callables {
    ($($argument:ident)*) => {
        impl<C, F, T, E, $($argument,)*> Callable<C, (Fallible, fn($($argument,)*) -> (T, E))> for F
        where
            F: Fn(&C $(, $argument)*) -> Result<T, E>,
            T: Typed,
            E: isx::Failure,
            ($($argument,)*): Typed,
        {
            type Arguments = ($($argument,)*);
            type Answer = T;
        }

        impl<C, F, T, $($argument,)*> Callable<C, (Plain, fn($($argument,)*) -> T)> for F
        where
            F: Fn(&C $(, $argument)*) -> T,
            T: Typed,
            ($($argument,)*): Typed,
        {
            type Arguments = ($($argument,)*);
            type Answer = T;
        }
    };
}

callables! {}
callables! { A1 }
callables! { A1 A2 }
callables! { A1 A2 A3 }
callables! { A1 A2 A3 A4 }
callables! { A1 A2 A3 A4 A5 }
callables! { A1 A2 A3 A4 A5 A6 }
callables! { A1 A2 A3 A4 A5 A6 A7 }
callables! { A1 A2 A3 A4 A5 A6 A7 A8 }

/// The name of a function of the module: the last part of its path, as the schema has it.
pub(crate) fn name_of<F>() -> &'static str {
    let path = std::any::type_name::<F>();
    let name = path.rsplit("::").next().unwrap_or(path);
    name.strip_prefix("r#").unwrap_or(name)
}
