//! The verbs on modules: build, publish, inspect, schema.

use crate::arguments::Build;
use crate::build::{self, Kind, Order};
use crate::json::{fields_name, type_name};
use crate::names::{session, split};
use crate::project::Target;
use crate::roms::Binding;
use crate::show::Show;
use crate::source::Source;
use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use isx_iface::anchor::{AnchorStub, MountLimits};
use isx_iface::publish::{mount_or_upgrade_shown, upload};
use isx_iface::{Anchor, Host, HostStub, Module, ModuleStub};
use isx_row::schema::{Change, Difference, Effect, Fill, Hook, Schema, Sent, TableKind, Way};
use isx_row::{Code, ContentHash, Error, Type};
use serde_json::{Value as Json, json};
use std::path::{Path, PathBuf};

/// `isx build`.
pub fn build(arguments: &Build, show: Show) -> Result<()> {
    let embed = |text: &String| {
        let (name, file) = text.split_once('=').with_context(|| format!("--embed {text}: say NAME=FILE"))?;
        Ok((name.to_string(), PathBuf::from(file)))
    };
    let embeds = arguments.embed.iter().map(embed).collect::<Result<Vec<_>>>()?;
    let built = build::build(&Order { folder: &arguments.folder, embeds: &embeds })?;
    let output = match &arguments.output {
        Some(output) => {
            build::write(output, &built.component)?;
            output.clone()
        }
        None => build::keep(&built)?,
    };
    let hash = ContentHash::of(&built.component);
    let kind = match built.kind {
        Kind::Module => "module",
        Kind::Rom => "rom",
    };
    Ok(show.one(
        || format!("{kind} {} of {} bytes: {}", built.name, built.component.len(), output.display()),
        || json!({ "name": built.name, "kind": kind, "file": output.to_string_lossy(), "bytes": built.component.len(), "hash": hash.to_string() }),
    )?)
}

/// `isx publish`: all are built and compared before the first is changed.
pub async fn publish(host: &HostStub, targets: &[Target], dry_run: bool, show: Show) -> Result<()> {
    let mut plans = Vec::new();
    for target in targets {
        let source = Source::of(&target.what)?;
        let component = source.here(None)?;
        if isx_exec::is_program(&component) {
            let binding = Binding::new(host, &component, &source.to_string(), target.path.as_deref()).await?;
            plans.push((Planned::Rom(binding), component));
            continue;
        }
        let plan = Plan::new(host, &component, target).await?;
        plan.show_differences(show);
        if let Some(refused) = plan.refused() {
            return Err(refused.into());
        }
        plans.push((Planned::Module(Box::new(plan)), component));
    }
    for (plan, component) in plans {
        match (plan, dry_run) {
            (Planned::Module(plan), true) => plan.show(plan.attempt(host, &component).await?, show)?,
            (Planned::Module(plan), false) => plan.carry_out(host, &component).await?.show(show)?,
            (Planned::Rom(binding), true) => binding.show("would bind", show)?,
            (Planned::Rom(binding), false) => binding.carry_out(host, &component, show).await?,
        }
    }
    Ok(())
}

/// What publishing a component would do.
enum Planned {
    Module(Box<Plan>),
    Rom(Binding),
}

/// What publishing a module would do.
pub struct Plan {
    path: String,
    limits: MountLimits,
    parent: AnchorStub,
    schema: Schema,
    code: ContentHash,
    present: Option<Present>,
}

/// What is mounted where a component is to be.
struct Present {
    module: ModuleStub,
    code: ContentHash,
    /// Those before it.
    earlier: Vec<ContentHash>,
    /// Its schema.
    schema: Schema,
    /// What the component changes.
    differences: Vec<Difference>,
}

/// What publishing did.
pub struct Published {
    /// The mount's path.
    pub path: String,
    /// The mount.
    pub module: ModuleStub,
    plan: Plan,
    code: ContentHash,
    revision: u64,
    anew: bool,
}

impl Plan {
    /// Compares a component with what is mounted where the target says, by default at `/self/<name>`.
    ///
    /// # Errors
    /// What the component is refused for: it is read here as well, so that it is refused before it is sent.
    pub async fn new(host: &HostStub, component: &[u8], target: &Target) -> Result<Self> {
        let schema = isx_exec::read_schema(component).with_context(|| target.what.display().to_string())?;
        let path = target.path.clone().unwrap_or_else(|| format!("/self/{}", schema.name));
        let (parent, name) = split(&path)?;
        let parent = crate::names::walk(host, parent).await?;
        // What holds a group may be that this code is lost: it is sent before the mount can be looked at.
        if host.status().await.is_ok_and(|status| status.groups.iter().any(|group| group.held.is_some())) {
            upload_shown(host, component).await?;
        }
        let present = present(&parent, name, &schema).await.with_context(|| path.clone())?;
        let code = ContentHash::of(component);
        Ok(Self { path, limits: target.limits.clone(), parent, schema, code, present })
    }

    /// Where it is to be mounted.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is mounted there now.
    pub fn mounted(&self) -> Option<&ModuleStub> {
        self.present.as_ref().map(|present| &present.module)
    }

    /// What it changes for what is mounted there.
    fn differences(&self) -> &[Difference] {
        self.present.as_ref().map_or(&[], |present| &present.differences)
    }

    /// The error of an upgrade that would lose rows.
    pub fn refused(&self) -> Option<Error> {
        let refused = self.differences().iter().find(|difference| difference.effect == Effect::Refused)?;
        let table = refused.item.strip_prefix("table ").unwrap_or_default();
        let had = self.present.as_ref().is_some_and(|present| present.earlier.contains(&self.code));
        let cure = match self.schema.migration(table) {
            _ if had => format!("to go back to it, and lose that: `isx rollback {} {}`", self.path, self.code),
            None => {
                format!("move its rows with a hook `#[isx::reducer(on = \"{table}.migrate\")]`, which `isx dev` writes")
            }
            Some(hook) => format!("{} is to take what version {} has", hook.name, self.before()),
        };
        Some(Error::new(Code::Incompatible, format!("{} can not be upgraded: {refused}; {cure}", self.path)))
    }

    /// The version of the module that is mounted.
    fn before(&self) -> &str {
        self.present.as_ref().map_or("", |present| present.schema.version.as_str())
    }

    /// The beginnings of the hooks that would move the rows of tables that can not be kept.
    ///
    /// # Errors
    /// Names what the SDK has no Rust type for.
    pub fn migrations(&self) -> Result<String> {
        let Some(present) = &self.present else { return Ok(String::new()) };
        let refused = self.differences().iter().filter(|difference| difference.effect == Effect::Refused);
        let tables = refused.filter_map(|difference| present.schema.table(difference.item.strip_prefix("table ")?));
        // A hook that is there already, and does not fit, is for a person to mend.
        let tables = tables.filter(|table| self.schema.migration(&table.name).is_none());
        tables.map(|table| crate::bindings::migration(&present.schema, table)).collect()
    }

    /// Does it on a fork, so that a row that can not be moved, or a hook that fails, is known before; how many rows would move.
    async fn attempt(&self, host: &HostStub, component: &[u8]) -> Result<u64> {
        let Some(present) = &self.present else { return Ok(0) };
        let code = upload_shown(host, component).await?;
        Ok(present.module.try_upgrade(code, None).await.with_context(|| self.path.clone())?.rows)
    }

    /// Says what differs.
    pub fn show_differences(&self, show: Show) {
        if self.present.is_none() && !show.json {
            link_lines(&self.schema).for_each(|line| eprintln!("{line}"));
        }
        for difference in self.differences().iter().filter(|_| !show.json) {
            eprintln!("{difference} ({})", difference.effect);
        }
    }

    /// The same plan after what is mounted there was removed, data included.
    pub async fn reset(self) -> Result<Self> {
        if self.present.is_some() {
            let (_, name) = split(&self.path)?;
            self.parent.remove(name.into()).await.with_context(|| self.path.clone())?;
            eprintln!("removed {} with its data", self.path);
        }
        Ok(Self { present: None, ..self })
    }

    /// Uploads the component and mounts it, or upgrades what is mounted.
    pub async fn carry_out(self, host: &HostStub, component: &[u8]) -> Result<Published> {
        let code = upload_shown(host, component).await?;
        let (_, name) = split(&self.path)?;
        let bar = migration_bar();
        let place = (self.limits.clone(), session()?);
        let mounted = mount_or_upgrade_shown(&self.parent, name, code, place, |moved, rows| {
            bar.set_length(rows);
            bar.set_position(moved);
        });
        let mounted = mounted.await;
        bar.finish_and_clear();
        let (module, anew) = mounted.with_context(|| self.path.clone())?;
        let revision = module.describe(u32::MAX).await?.revision;
        Ok(Published { path: self.path.clone(), module, plan: self, code, revision, anew })
    }

    fn told(&self) -> Option<Json> {
        self.present.as_ref().map(|present| present.differences.iter().map(difference_json).collect())
    }

    fn show(&self, rows_moved: u64, show: Show) -> Result<()> {
        let Self { path, schema: Schema { name, version, .. }, .. } = self;
        let done = if self.present.is_some() { "would upgrade" } else { "would mount" };
        Ok(show.one(
            || match rows_moved {
                0 => format!("{done} {path}: {name} {version}"),
                rows => format!("{done} {path}: {name} {version}, {rows} rows would move"),
            },
            || {
                json!({ "path": path, "done": done, "name": name, "version": version, "rows_moved": rows_moved.to_string(),
                        "differences": self.told() })
            },
        )?)
    }
}

impl Published {
    /// Whether the same code was there already.
    pub fn is_unchanged(&self) -> bool {
        self.plan.present.as_ref().is_some_and(|present| present.code == self.code)
    }

    /// Says what was done.
    pub fn show(&self, show: Show) -> Result<()> {
        let Self { path, plan, code, revision, anew, .. } = self;
        let Schema { name, version, .. } = &plan.schema;
        let done = match anew {
            true => "mounted",
            false if self.is_unchanged() => "unchanged",
            false => "upgraded",
        };
        Ok(show.one(
            || format!("{done} {path}: {name} {version}, revision {revision}\n  code {code}"),
            || {
                json!({ "path": path, "done": done, "code": code.to_string(), "name": name, "version": version,
                       "revision": revision.to_string(), "differences": plan.told() })
            },
        )?)
    }
}

/// What is mounted as a child of `parent`, and what `schema` changes for it; `None` when nothing is.
async fn present(parent: &AnchorStub, name: &str, schema: &Schema) -> Result<Option<Present>> {
    let mounted = match parent.walk(name.into()).await {
        Ok(anchor) => anchor.module().await,
        Err(error) => Err(error),
    };
    match mounted {
        Ok(module) => {
            let description = isx_iface::module::describe(&module).await?;
            let old = Schema::decode(&description.schema.0)?;
            let differences = old.differences(schema, Way::On);
            let earlier = description.earlier.iter().map(|earlier| earlier.code).collect();
            Ok(Some(Present { module, code: description.code, earlier, schema: old, differences }))
        }
        Err(error) if error.code == Code::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A difference in JSON.
pub fn difference_json(difference: &Difference) -> Json {
    let change = match difference.change {
        Change::Added => "added",
        Change::Removed => "removed",
        Change::Changed => "changed",
    };
    let effect = match difference.effect {
        Effect::Kept => "kept",
        Effect::Callers => "callers",
        Effect::Indexed => "indexed",
        Effect::Migrated => "migrated",
        Effect::Lost => "lost",
        Effect::Forgotten => "forgotten",
        Effect::Refused => "refused",
    };
    json!({ "item": difference.item, "change": change, "detail": difference.detail.trim(), "effect": effect })
}

/// A bar for rows that move, on a terminal.
pub fn migration_bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    let style = ProgressStyle::with_template("{msg} {bar:30} {human_pos} of {human_len} rows, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message("migrating");
    bar
}

/// Uploads a component, with a bar on a terminal.
pub async fn upload_shown(host: &HostStub, component: &[u8]) -> Result<ContentHash> {
    let bar = ProgressBar::new(component.len() as u64);
    bar.set_style(
        ProgressStyle::with_template("{msg} {bar:30} {bytes} of {total_bytes}")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    bar.set_message("uploading");
    let code = upload(host, component, |sent| bar.set_position(sent)).await?;
    bar.finish_and_clear();
    Ok(code)
}

/// `isx inspect` of a component.
pub fn inspect_component(source: &Source, bytes: &[u8], show: Show) -> Result<()> {
    let inspected = build::component::inspect(bytes).with_context(|| source.to_string())?;
    let hash = ContentHash::of(bytes);
    let (imports, exports) = (inspected.imports.clone(), inspected.exports.clone());
    let head = json!({ "hash": hash.to_string(), "bytes": bytes.len(), "imports": imports, "exports": exports });
    describe(head, inspected.schema.as_ref(), show)
}

/// `isx inspect PATH|HASH`: of a mount, or of a blob.
pub async fn inspect_of_node(host: &HostStub, what: &str, show: Show) -> Result<()> {
    let source = Source::of(Path::new(what))?;
    let mounted = match &source {
        Source::Anchor(path) => Some((path, crate::names::walk(host, path).await?.module().await)),
        _ => None,
    };
    match mounted {
        Some((path, Ok(module))) => inspect_mount(path, &module, show).await,
        // Nothing is mounted there: the anchor may hold the hash of a ROM.
        Some((path, Err(error))) => match source.component(host, Kind::Rom).await {
            Ok(bytes) if error.code == Code::NotFound => inspect_component(&source, &bytes, show),
            _ => Err(anyhow::Error::new(error).context(path.clone())),
        },
        None => inspect_component(&source, &source.component(host, Kind::Rom).await?, show),
    }
}

async fn inspect_mount(path: &str, module: &ModuleStub, show: Show) -> Result<()> {
    let description = isx_iface::module::describe(module).await?;
    let head = json!({
        "path": path, "mount": description.mount.to_string(), "state": description.state, "code": description.code.to_string(),
        "incarnation": description.incarnation.to_string(), "revision": description.revision.to_string(),
        "rows": description.rows_count.to_string(), "bytes": description.table_bytes.to_string(),
        "earlier": description.earlier.iter().map(|one| json!({
            "code": one.code.to_string(), "since": one.since.to_string(),
        })).collect::<Json>(),
    });
    describe(head, Some(&Schema::decode(&description.schema.0)?), show)
}

/// `isx schema` of a component that is here.
pub fn schema_of_source(source: &Source, show: Show) -> Result<()> {
    let component = source.here(Some(Kind::Module))?;
    show_schema(&isx_exec::read_schema(&component).with_context(|| source.to_string())?, show)
}

/// `isx schema PATH`.
pub async fn schema_of_mount(host: &HostStub, path: &str, show: Show) -> Result<()> {
    let module = crate::names::walk(host, path).await?.module().await.with_context(|| path.to_string())?;
    show_schema(&Schema::decode(&isx_iface::module::describe(&module).await?.schema.0)?, show)
}

fn show_schema(schema: &Schema, show: Show) -> Result<()> {
    Ok(show.one(|| schema_lines(schema).join("\n"), || schema_json(schema))?)
}

fn describe(mut head: Json, schema: Option<&Schema>, show: Show) -> Result<()> {
    let lines = head.as_object().map(|head| {
        head.iter().map(|(key, value)| format!("{key:<12} {}", crate::show::cell(value))).collect::<Vec<_>>()
    });
    let mut lines = lines.unwrap_or_default();
    if let Some(schema) = schema {
        lines.extend(schema_lines(schema));
        head["schema"] = schema_json(schema);
    }
    Ok(show.one(|| lines.join("\n"), || head)?)
}

fn schema_lines(schema: &Schema) -> Vec<String> {
    let public = |public: bool| if public { "public " } else { "" };
    let mut lines = vec![format!("{:<12} {}{} {}", "module", public(schema.public), schema.name, schema.version)];
    lines.extend(schema.tables.iter().map(|table| {
        let column = |column: &isx_row::schema::Column| {
            let written = written(column).map(|word| format!(" {word}")).unwrap_or_default();
            format!("{}: {}{written}", column.name, type_name(&column.ty))
        };
        let columns: Vec<String> = table.columns.iter().map(column).collect();
        let kind = match table.kind {
            TableKind::Durable => String::new(),
            kind => format!(", {}", kind.word()),
        };
        format!("{:<12} {}{} {{ {} }}{kind}", "table", public(table.public), table.name, columns.join(", "))
    }));
    lines.extend(schema.reducers.iter().map(|reducer| {
        let hook = reducer.hook.as_ref().map(|hook| format!(", a hook {hook}")).unwrap_or_default();
        let (arguments, answer) = (fields_name(&reducer.arguments), outcome(&reducer.answer, reducer.error.as_ref()));
        format!("{:<12} {}{}({arguments}) -> {answer}{hook}", "reducer", public(reducer.public), reducer.name)
    }));
    lines.extend(schema.queries.iter().map(|query| {
        let (arguments, answer) = (fields_name(&query.arguments), outcome(&query.answer, query.error.as_ref()));
        let kind = if query.key.is_some() { "view" } else { "query" };
        format!("{kind:<12} {}{}({arguments}) -> {answer}", public(query.public), query.name)
    }));
    lines.extend(link_lines(schema));
    lines
}

/// The other modules that a module knows: what it sends them, what it calls there, and what it hears of.
fn link_lines(schema: &Schema) -> impl Iterator<Item = String> {
    schema.links.iter().map(|link| {
        let function = |word: &str, one: &Sent| {
            format!("{word} {}({}) -> {}", one.name, fields_name(&one.arguments), type_name(&one.answer))
        };
        let sends = link.sends.iter().map(|sent| function("sends", sent));
        let joins = link.joins.iter().map(|joined| function("calls", joined));
        let hears = schema.reducers.iter().filter_map(|reducer| match &reducer.hook {
            Some(hook @ Hook::OtherTable { path, .. }) if *path == link.path => Some(format!("hears {hook}")),
            _ => None,
        });
        let what: Vec<String> = sends.chain(joins).chain(hears).collect();
        format!("{:<12} {}: {}", "link", link.path, what.join(", "))
    })
}

/// When the host writes a column, as its attribute names it.
fn written(column: &isx_row::schema::Column) -> Option<&'static str> {
    match column.default {
        Some(Fill::Created) => Some("created_at"),
        Some(Fill::Updated) => Some("updated_at"),
        Some(Fill::Session) => Some("session"),
        Some(Fill::Caller) => Some("caller"),
        Some(Fill::Value(_)) | None => None,
    }
}

/// An answer's type, and that of the module's own error.
fn outcome(answer: &Type, error: Option<&Type>) -> String {
    error.map_or_else(|| type_name(answer), |error| format!("{}, or {}", type_name(answer), type_name(error)))
}

fn schema_json(schema: &Schema) -> Json {
    json!({
        "name": schema.name, "version": schema.version, "public": schema.public,
        "tables": schema.tables.iter().map(|table| json!({
            "name": table.name, "public": table.public, "kind": table.kind.word(),
            "columns": table.columns.iter().map(|column| match written(column) {
                Some(word) => json!({ "name": column.name, "type": type_name(&column.ty), "written": word }),
                None => json!({ "name": column.name, "type": type_name(&column.ty) }),
            }).collect::<Json>(),
            "indexes": table.indexes.iter().map(|index| json!({ "name": index.name, "unique": index.unique })).collect::<Json>(),
        })).collect::<Json>(),
        "reducers": schema.reducers.iter().map(|reducer| json!({
            "name": reducer.name, "public": reducer.public, "hook": reducer.hook.as_ref().map(ToString::to_string),
            "arguments": fields(&reducer.arguments), "answer": type_name(&reducer.answer),
            "error": reducer.error.as_ref().map(type_name),
            "signature": reducer.signature().to_string(),
        })).collect::<Json>(),
        "queries": schema.queries.iter().map(|query| json!({
            "name": query.name, "public": query.public, "key": query.key,
            "arguments": fields(&query.arguments), "answer": type_name(&query.answer),
            "error": query.error.as_ref().map(type_name),
            "signature": query.signature().to_string(),
        })).collect::<Json>(),
        "links": schema.links.iter().map(|link| json!({
            "path": link.path,
            "sends": all_sent(&link.sends),
            "joins": all_sent(&link.joins),
        })).collect::<Json>(),
    })
}

fn fields(fields: &[isx_row::Field]) -> Json {
    fields.iter().map(|field| json!({ "name": field.name, "type": type_name(&field.ty) })).collect()
}

fn all_sent(functions: &[Sent]) -> Json {
    let one = |sent: &Sent| {
        json!({
            "name": sent.name, "arguments": fields(&sent.arguments), "answer": type_name(&sent.answer),
            "signature": sent.signature().to_string(),
        })
    };
    functions.iter().map(one).collect()
}
