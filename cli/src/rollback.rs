//! `isx rollback`: a mount goes back to a module that it had.

use crate::modules::{difference_json, migration_bar};
use crate::names::{confirmed, walk};
use crate::show::Show;
use anyhow::{Context, Result, bail};
use isx_iface::module::{describe, schema_of};
use isx_iface::publish::roll_back;
use isx_iface::{Anchor, HostStub, Module};
use isx_row::schema::{Effect, Schema, Way};
use isx_row::{Code, ContentHash, Error};
use serde_json::json;

/// How it is done.
#[derive(Clone, Copy)]
pub struct How {
    /// It is tried, and not done.
    pub dry: bool,
    /// What is lost is lost without asking.
    pub yes: bool,
}

/// `isx rollback`.
pub async fn rollback(host: &HostStub, path: &str, code: Option<&str>, how: How, show: Show) -> Result<()> {
    let module = walk(host, path).await?.module().await.with_context(|| path.to_string())?;
    let mount = describe(&module).await.with_context(|| path.to_string())?;
    let (old, present) = (Schema::decode(&mount.schema.0)?, mount.code);
    let mut had: Vec<ContentHash> = Vec::new();
    for earlier in mount.earlier.iter().rev().filter(|earlier| earlier.code != present) {
        if !had.contains(&earlier.code) {
            had.push(earlier.code);
        }
    }
    let code = chosen(path, &had, code)?;
    let new = Schema::decode(&schema_of(&module, code).await.with_context(|| path.to_string())?)?;
    let differences = old.differences(&new, Way::Back);
    for difference in differences.iter().filter(|_| !show.json) {
        eprintln!("{difference} ({})", difference.effect);
    }
    if let Some(refused) = differences.iter().find(|difference| difference.effect == Effect::Refused) {
        let text = format!(
            "{path} can not go back to {} {}: {refused}; publish a module that moves these rows with a hook",
            new.name, new.version
        );
        return Err(Error::new(Code::Incompatible, text).into());
    }
    let told: Vec<_> = differences.iter().map(difference_json).collect();
    let (name, version) = (&new.name, &new.version);
    if how.dry {
        let rows = module.try_upgrade(code, Some(present)).await.with_context(|| path.to_string())?.rows;
        return Ok(show.one(
            || format!("would roll back {path}: {name} {version}, {rows} rows would move\n  code {code}"),
            || {
                json!({ "path": path, "done": "would roll back", "code": code.to_string(), "name": name,
                        "version": version, "rows_moved": rows.to_string(), "differences": told })
            },
        )?);
    }
    let loses = differences.iter().any(|difference| difference.effect == Effect::Lost);
    if loses && !how.yes && !confirmed(&format!("lose this data of {path}, for all its callers?"))? {
        bail!("nothing was rolled back");
    }
    let bar = migration_bar();
    let done = roll_back(&module, (present, code), |moved, rows| {
        bar.set_length(rows);
        bar.set_position(moved);
    });
    let done = done.await;
    bar.finish_and_clear();
    done.with_context(|| path.to_string())?;
    let revision = module.describe(u32::MAX).await?.revision;
    Ok(show.one(
        || format!("rolled back {path}: {name} {version}, revision {revision}\n  code {code}"),
        || {
            json!({ "path": path, "done": "rolled back", "code": code.to_string(), "name": name, "version": version,
                    "revision": revision.to_string(), "differences": told })
        },
    )?)
}

/// The module that the beginning of a code means; the one before the present one where none is given.
fn chosen(path: &str, had: &[ContentHash], code: Option<&str>) -> Result<ContentHash> {
    let missing = |text: String| -> Result<ContentHash> { Err(Error::new(Code::NotFound, text).into()) };
    let Some(wanted) = code else {
        return had.first().copied().map_or_else(|| missing(format!("{path} has had no other module")), Ok);
    };
    let mut meant = had.iter().filter(|code| code.to_string().starts_with(wanted));
    match (meant.next(), meant.next()) {
        (Some(code), None) => Ok(*code),
        (Some(_), Some(_)) => {
            let text = format!("{wanted} is the beginning of several codes that {path} had: say more of it");
            Err(Error::new(Code::BadArguments, text).into())
        }
        (None, _) => {
            let codes: Vec<String> = had.iter().map(ToString::to_string).collect();
            missing(format!("{path} had no module {wanted}; it had {}", codes.join(", ")))
        }
    }
}
