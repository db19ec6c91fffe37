//! A module made ready to run: its compiled component, linked, and its schema, resolved once.

use crate::access::Access;
use crate::component::{CALL, malformed};
use crate::engine::engine;
use crate::host::{GuestFailure, Host};
use crate::imports;
use isx_row::codec::{self, Layout};
use isx_row::schema::{self, Hook, Link, Query, Reducer, RowEvent, Schema, Table};
use isx_row::{Code as ErrorCode, Error, Field, Signature, Type};
use std::collections::BTreeMap;
use std::sync::Arc;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker};

/// What the guest's `call` takes. Owned, so that the function can be kept beside its instance.
pub(crate) type CallArguments = (Arc<str>, Vec<u8>);
/// What it gives.
pub(crate) type CallAnswer = (Result<Vec<u8>, GuestFailure>,);

/// A module ready to run.
pub(crate) struct Code {
    pub(crate) schema: Arc<Schema>,
    pub(crate) pre: InstancePre<Host>,
    pub(crate) call: ComponentExportIndex,
    /// As in the schema: reducers by name, then queries by name.
    functions: Vec<Function>,
    reducer_count: usize,
    /// For each table of the schema, by position.
    hooks: Vec<TableHooks>,
    /// What is sent to other modules, by path and name.
    sent: Known,
    /// What is called of other modules, as that.
    joined: Known,
}

/// Functions of other modules.
type Known = BTreeMap<(String, String), Sent>;

/// A function of another module, as this one knows it.
pub(crate) struct Sent {
    pub(crate) signature: Signature,
    pub(crate) arguments: Layout,
}

/// A reducer, hook or query.
pub(crate) struct Function {
    pub(crate) name: Arc<str>,
    /// Whether callers without a reference from the owner reach it.
    pub(crate) public: bool,
    pub(crate) is_hook: bool,
    pub(crate) is_query: bool,
    pub(crate) is_view: bool,
    /// The table whose due rows it waits for, by position in the schema.
    pub(crate) due: Option<u32>,
    pub(crate) signature: Signature,
    pub(crate) arguments: Layout,
    pub(crate) answer: Layout,
    /// Of the module's own error, if it has one.
    pub(crate) error: Option<Layout>,
    pub(crate) access: Access,
}

/// The hooks on one table, by position among the functions.
#[derive(Default)]
struct TableHooks {
    insert: Vec<usize>,
    update: Vec<usize>,
    delete: Vec<usize>,
    /// Whether the table's row, as an argument, has a fixed width.
    fixed: bool,
}

impl Code {
    /// Links a compiled component. `artifact` must have been made by [`crate::compile`] in this process, in its child or
    /// parent, or come out of this machine's cache.
    ///
    /// # Errors
    /// `malformed` when the component is of other types than the guest contract or contradicts its schema.
    pub(crate) fn new(schema: Schema, artifact: &[u8]) -> Result<Self, Error> {
        let component = load(artifact)?;
        let call = check_call(&component)?;
        let mut linker = Linker::new(engine()?);
        imports::link(&mut linker)
            .map_err(|error| Error::new(ErrorCode::Fatal, format!("the guest contract does not link: {error:#}")))?;
        let pre = linker
            .instantiate_pre(&component)
            .map_err(|error| malformed(format!("the module imports what isx:module does not offer so: {error:#}")))?;

        let reducers = schema.reducers.iter().map(|reducer| Function::of_reducer(&schema, reducer));
        let queries = schema.queries.iter().map(|query| Function::of_query(&schema, query));
        let functions = reducers.chain(queries).collect();
        let hooks = schema.tables.iter().map(|table| TableHooks::new(&schema, table)).collect::<Result<_, _>>()?;
        let (sent, joined) = (known(&schema, |link| &link.sends), known(&schema, |link| &link.joins));
        let reducer_count = schema.reducers.len();
        Ok(Self { reducer_count, schema: Arc::new(schema), pre, call, functions, hooks, sent, joined })
    }

    /// The reducer called `name`, a hook too.
    pub(crate) fn reducer(&self, name: &str) -> Option<&Function> {
        let reducers = self.functions.get(..self.reducer_count)?;
        reducers.binary_search_by(|function| (*function.name).cmp(name)).ok().and_then(|at| reducers.get(at))
    }

    /// The query called `name`.
    pub(crate) fn query(&self, name: &str) -> Option<&Function> {
        let queries = self.functions.get(self.reducer_count..)?;
        queries.binary_search_by(|function| (*function.name).cmp(name)).ok().and_then(|at| queries.get(at))
    }

    /// A reducer of the module linked at a path, which is sent to.
    pub(crate) fn sent(&self, path: &str, name: &str) -> Option<&Sent> {
        self.sent.get(&(path.to_owned(), name.to_owned()))
    }

    /// A function of the module linked at a path, which is called within transactions.
    pub(crate) fn joined(&self, path: &str, name: &str) -> Option<&Sent> {
        self.joined.get(&(path.to_owned(), name.to_owned()))
    }

    /// A function by its position, as [`Code::hooks`] gives it.
    pub(crate) fn function(&self, position: usize) -> Option<&Function> {
        self.functions.get(position)
    }

    /// The hooks that an event on a table sets off.
    pub(crate) fn hooks(&self, table: usize, event: RowEvent) -> &[usize] {
        let Some(hooks) = self.hooks.get(table) else { return &[] };
        match event {
            RowEvent::Insert => &hooks.insert,
            RowEvent::Update => &hooks.update,
            RowEvent::Delete => &hooks.delete,
        }
    }

    /// The arguments of a hook on a table: one row, or the old and the new one.
    pub(crate) fn hook_arguments(&self, table: usize, rows: &[&[u8]]) -> Vec<u8> {
        schema::hook_arguments(self.hooks.get(table).is_some_and(|hooks| hooks.fixed), rows)
    }
}

impl Function {
    fn of_reducer(schema: &Schema, reducer: &Reducer) -> Self {
        Self {
            name: reducer.name.as_str().into(),
            public: schema.public && reducer.public && reducer.hook.is_none(),
            is_hook: reducer.hook.is_some(),
            is_query: false,
            is_view: false,
            due: due_table(schema, reducer.hook.as_ref()),
            signature: reducer.signature(),
            arguments: arguments(&reducer.arguments),
            answer: Layout::new([&reducer.answer]),
            error: reducer.error.as_ref().map(|error| Layout::new([error])),
            access: Access::of_reducer(schema, reducer.access.as_ref()),
        }
    }

    fn of_query(schema: &Schema, query: &Query) -> Self {
        Self {
            name: query.name.as_str().into(),
            public: schema.public && query.public,
            is_hook: false,
            is_query: true,
            is_view: query.key.is_some(),
            due: None,
            signature: query.signature(),
            arguments: arguments(&query.arguments),
            answer: Layout::new([&query.answer]),
            error: query.error.as_ref().map(|error| Layout::new([error])),
            access: Access::of_query(schema, query.reads.as_deref()),
        }
    }
}

impl TableHooks {
    fn new(schema: &Schema, table: &Table) -> Result<Self, Error> {
        let row = Type::Struct(
            table.columns.iter().map(|column| Field { name: column.name.clone(), ty: column.ty.clone() }).collect(),
        );
        let mut hooks = Self { fixed: codec::fixed_width(&row).is_some(), ..Self::default() };
        for (position, reducer) in schema.reducers.iter().enumerate() {
            let Some(Hook::OwnTable { table: name, event }) = &reducer.hook else { continue };
            if *name != table.name {
                continue;
            }
            let (list, count) = match event {
                RowEvent::Insert => (&mut hooks.insert, 1),
                RowEvent::Update => (&mut hooks.update, 2),
                RowEvent::Delete => (&mut hooks.delete, 1),
            };
            if reducer.arguments.len() != count || reducer.arguments.iter().any(|argument| argument.ty != row) {
                return Err(malformed(format!("hook {} does not take the rows of table {name}", reducer.name)));
            }
            list.push(position);
        }
        Ok(hooks)
    }
}

fn known(schema: &Schema, of: impl Fn(&Link) -> &Vec<schema::Sent>) -> Known {
    let all = schema.links.iter().flat_map(|link| of(link).iter().map(|sent| (&link.path, sent)));
    all.map(|(path, sent)| {
        let key = (path.clone(), sent.name.clone());
        (key, Sent { signature: sent.signature(), arguments: arguments(&sent.arguments) })
    })
    .collect()
}

fn due_table(schema: &Schema, hook: Option<&Hook>) -> Option<u32> {
    let Some(Hook::Due { table }) = hook else { return None };
    schema.tables.iter().position(|one| one.name == *table).and_then(|at| u32::try_from(at).ok())
}

fn arguments(fields: &[Field]) -> Layout {
    Layout::new(fields.iter().map(|field| &field.ty))
}

#[allow(unsafe_code, reason = "loading compiled code is trusting whoever compiled it")]
fn load(artifact: &[u8]) -> Result<Component, Error> {
    // SAFETY: the callers' contract: this process, its child, its parent or its own cache made the artifact; cache and
    // trial check that its bytes are still the ones written. The engine checks that it was made by an engine as this one.
    let component = unsafe { Component::deserialize(engine()?, artifact) };
    component.map_err(|error| malformed(format!("the compiled code can not be loaded: {error:#}")))
}

fn check_call(component: &Component) -> Result<ComponentExportIndex, Error> {
    let Some((ComponentItem::ComponentFunc(function), index)) = component.get_export(None, CALL) else {
        return Err(malformed("the component exports no function `call`"));
    };
    function
        .typecheck::<CallArguments, CallAnswer>(&component.component_type().instance_type())
        .map_err(|error| malformed(format!("`call` is not of the guest contract's type: {error:#}")))?;
    Ok(index)
}
