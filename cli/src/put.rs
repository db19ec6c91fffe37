//! `isx put`: a row of a volatile table, or its end.

use crate::arguments::Put;
use crate::calls::schema;
use crate::json::fields_name;
use crate::names::{member, walk};
use crate::rows::table;
use crate::show::Show;
use crate::words;
use anyhow::{Context, Result};
use isx_iface::{Anchor, HostStub};
use isx_row::codec::encode_record;
use isx_row::schema::{Doing, TableKind};
use isx_row::{Code, Error};
use serde_json::json;

/// `isx put`.
pub async fn put(host: &HostStub, arguments: &Put, show: Show) -> Result<()> {
    let (path, name) = member(&arguments.target);
    let name = name.with_context(|| format!("say PATH:table, for example {path}:cursor"))?;
    let schema = schema(host, path).await?;
    let table = table(&schema, path, name)?;
    if table.kind != TableKind::Volatile {
        let kind = table.kind.word();
        let text = format!(
            "{name} is a {kind} table: reducers write its rows, `isx call {path} …`; only volatile ones are put"
        );
        return Err(Error::new(Code::Unsupported, text).into());
    }
    let doing = if arguments.delete { Doing::Delete } else { Doing::Put };
    let fields = table.arguments(doing);
    if arguments.columns.len() != fields.len() {
        let (takes, got) = (fields_name(&fields), arguments.columns.len());
        let text = format!("{name} takes ({takes}) to {}, got {got} words", doing.word());
        return Err(Error::new(Code::BadArguments, text).into());
    }
    let values = words::values(&fields, &arguments.columns, &mut std::io::stdin().lock())?;
    let columns = encode_record(0, &fields, &values)?;
    let object = walk(host, path).await?.object().await?;
    let done = isx_iface::table::change(&object, (name, doing), table.signature(), columns).await;
    done.with_context(|| format!("{path} {}", doing.method(name)))?;
    show.one(String::new, || json!({ "table": arguments.target, "done": doing.word() }))?;
    if let Some(hold) = arguments.hold {
        tokio::time::sleep(hold).await;
    }
    Ok(())
}
