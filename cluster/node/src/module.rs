//! The administration of a mount, for those with the owner's rights.

use crate::budget::{Demand, Full};
use crate::past::{self, Place};
use crate::shared::{Shared, Who, mount_in, unexpected};
use crate::{dry_run, links, migration};
use async_trait::async_trait;
use futures::stream::BoxStream;
use isx_anchors::{Binding, BindingState};
use isx_cluster::{Outcome, QueryCall, ReducerCall, Request, View};
use isx_iface::limits::{CHUNK_BYTES_MAX, PAGE_BYTES_MAX, PAGE_COUNT_MAX};
use isx_iface::module::{
    Asked, At, Blamed, Description, DryRun, Earlier, LogPart, Migrated, Replayed, Rows, Steps, Upgraded,
};
use isx_iface::usage::FunctionUsage;
use isx_iface::{Module, ModuleStub, serve_module};
use isx_port::Lane;
use isx_raft::{Consistency, Moment};
use isx_row::schema::Table;
use isx_row::{Bytes, Code, Condition, ContentHash, Error, Revision, Signature, Time};
use isx_store::{EntryContext, Position, Scan};
use std::sync::Arc;

/// The administration of a mount for a caller.
pub(crate) fn administration(shared: &Arc<Shared>, who: Who, binding: &Binding) -> ModuleStub {
    ModuleStub(serve_module(Administration { shared: shared.clone(), who, binding: binding.clone(), at: None }))
}

struct Administration {
    shared: Arc<Shared>,
    who: Who,
    binding: Binding,
    /// The revision it is of; none for the present.
    at: Option<Revision>,
}

impl Administration {
    async fn view(&self) -> Result<View, Error> {
        self.who.owner_only("the mount's administration")?;
        let Place { group, mount } = self.place();
        match self.at {
            Some(revision) => self.shared.raft.past(group, mount, Moment::Revision(revision), self.shared.soon()).await,
            None => self.shared.raft.read(group, Consistency::Linearizable, self.shared.soon()).await,
        }
    }

    fn place(&self) -> Place {
        Place { group: crate::shared::group(self.binding.group), mount: self.binding.mount }
    }

    /// Refuses what only the present can do.
    fn present_only(&self) -> Result<(), Error> {
        match self.at {
            Some(revision) => Err(Error::new(Code::Unsupported, format!("revision {revision} is of the past"))),
            None => self.who.owner_only("the mount's administration"),
        }
    }

    /// A page of the last values of a volatile table.
    fn values(&self, table: &Table, after: Option<Bytes>, count: usize) -> Result<Rows, Error> {
        if let Some(revision) = self.at {
            let text = format!("table {} is volatile: of revision {revision} nobody kept its rows", table.name);
            return Err(Error::new(Code::Unsupported, text));
        }
        let Place { group, mount } = self.place();
        let place = self.shared.values_of(group, mount, Arc::new(table.clone()))?;
        let after = after.map(|Bytes(key)| key);
        let mut found = self.shared.values.rows(&place, after.as_deref(), count + 1);
        let mut bytes = 0;
        let fits = |(_, row): &&(Arc<[u8]>, Arc<[u8]>)| {
            bytes += row.len() + 8;
            bytes <= PAGE_BYTES_MAX
        };
        let fitting = found.iter().take(count).take_while(fits).count();
        let more = fitting < found.len();
        found.truncate(fitting);
        let next = found.last().filter(|_| more).map(|(key, _)| Bytes(key.to_vec()));
        Ok(Rows { revision: 0, rows: found.iter().map(|(_, row)| Bytes(row.to_vec())).collect(), next })
    }

    async fn state(&self) -> Result<String, Error> {
        let view = self.shared.tree_view().await?;
        let binding = crate::shared::tree_of(&view)?.mount(&self.binding.mount).map(|(_, binding)| binding.state);
        let word = match binding {
            Some(BindingState::Creating) => "creating",
            Some(BindingState::Ready) => "active",
            Some(BindingState::Unmounted) => "unmounted",
            Some(BindingState::Removing) => "removing",
            None => return Err(Error::new(Code::Gone, "the mount was removed")),
        };
        Ok(word.into())
    }
}

#[async_trait]
impl Module for Administration {
    async fn describe(&self, schema_offset: u32) -> Result<Description, Error> {
        let state = self.state().await?;
        let view = self.view().await?;
        let mount = mount_in(&view, &self.binding.mount)?;
        let (module, usage) = (mount.module(), mount.database().usage());
        let rest = module.schema.get(schema_offset as usize..).unwrap_or_default();
        Ok(Description {
            mount: self.binding.mount,
            group: u64::from(self.binding.group.0),
            state,
            code: module.code,
            incarnation: mount.incarnation().0,
            revision: mount.revision().0,
            rows_count: usage.rows,
            table_bytes: usage.bytes,
            earlier: mount.earlier().iter().map(|(code, since)| Earlier { code: *code, since: since.0 }).collect(),
            schema_bytes: u32::try_from(module.schema.len()).unwrap_or(u32::MAX),
            schema: Bytes(rest[..rest.len().min(CHUNK_BYTES_MAX)].to_vec()),
        })
    }

    async fn rows(&self, table: String, after: Option<Bytes>, limit: u32) -> Result<Rows, Error> {
        let view = self.view().await?;
        let mount = mount_in(&view, &self.binding.mount)?;
        let database = mount.database();
        let count = (limit as usize).clamp(1, PAGE_COUNT_MAX);
        if let Some(volatile) = database.schema().table(&table).filter(|table| !table.kind.is_stored()) {
            let values = self.values(volatile, after, count)?;
            return Ok(Rows { revision: mount.revision().0, ..values });
        }
        let id = database
            .table(&table)
            .filter(|id| !database.is_post(*id))
            .ok_or_else(|| Error::new(Code::NotFound, format!("table {table} is not found")))?;
        let after = after.map(|Bytes(bytes)| Position::from_bytes(bytes));
        let chunk = database.scan(&Scan::all(id), after.as_ref(), count, PAGE_BYTES_MAX)?;
        let (mut rows, mut bytes, mut next) = (Vec::new(), 0, chunk.next);
        let mut last_key = None;
        for (key, row) in chunk.rows {
            bytes += row.len() + 8;
            if bytes > PAGE_BYTES_MAX && !rows.is_empty() {
                next = last_key.map(Position::from_bytes);
                break;
            }
            last_key = Some(key.to_vec());
            rows.push(Bytes(row.to_vec()));
        }
        let next = next.map(|position| Bytes(position.as_bytes().to_vec()));
        Ok(Rows { revision: mount.revision().0, rows, next })
    }

    async fn log(&self, after: Option<u64>) -> Result<BoxStream<'static, Result<LogPart, Error>>, Error> {
        self.present_only()?;
        mount_in(&self.view().await?, &self.binding.mount)?;
        let (shared, group, mount) =
            (self.shared.clone(), crate::shared::group(self.binding.group), self.binding.mount);
        let is_there = move || shared.raft.view(group).is_ok_and(|view| view.mount(&mount).is_some());
        Ok(self.shared.logs.follow(self.binding.mount, after.unwrap_or(0), is_there))
    }

    async fn dry_run(&self, reducer: String, arguments: Bytes, conditions: Vec<Condition>) -> Result<DryRun, Error> {
        self.present_only()?;
        let _running = self.shared.governor.paced(self.shared.soon()).await?;
        let view = self.view().await?;
        let (shared, id, principal) = (self.shared.clone(), self.binding.mount, self.who.principal);
        let mut seed = [0; 32];
        shared.ports.entropy.fill(&mut seed);
        let time = view.time().max(Time(shared.ports.clock.wall().unix_us));
        let lane = Lane::Query(u64::from(self.binding.group.0));
        let run = move || {
            let mount = mount_in(&view, &id)?;
            let call =
                ReducerCall { principal, trusted: true, conditions, ..ReducerCall::new(id, reducer, arguments.0) };
            dry_run::dry_run(&mount, &*shared.exec, &call, &EntryContext { time, seed })
        };
        self.shared.on(lane, run).await
    }

    async fn usage(&self) -> Result<Vec<FunctionUsage>, Error> {
        self.who.owner_only("the mount's administration")?;
        Ok(self.shared.metered.accounts.functions(&self.binding.mount))
    }

    async fn ask(&self, name: String, Bytes(payload): Bytes) -> Result<Asked, Error> {
        let view = self.view().await?;
        let _running = self.shared.governor.paced(self.shared.soon()).await?;
        let Place { group, mount } = self.place();
        let (code, revision) = {
            let mount = mount_in(&view, &mount)?;
            (mount.module().code, mount.revision())
        };
        // The code of then may be another than that of now.
        self.shared.load(code).await?;
        let Who { principal, owner: trusted } = self.who;
        let query = QueryCall { name, signature: Signature::ANY, principal, trusted, payload };
        let shared = self.shared.clone();
        let ask = move || mount_in(&view, &mount)?.query(&*shared.exec, &query);
        let payload = self.shared.on(Lane::Query(group.0), ask).await?;
        Ok(Asked { revision: revision.0, payload: Bytes(payload) })
    }

    async fn schema_of(&self, code: ContentHash, offset: u32) -> Result<Bytes, Error> {
        let view = self.view().await?;
        migration::check_had(&mount_in(&view, &self.binding.mount)?, &code)?;
        self.shared.load(code).await?;
        let schema = self.shared.exec.schema(&code).ok_or_else(|| Error::new(Code::NotFound, format!("{code}")))?;
        let bytes = schema.encode()?;
        let rest = bytes.get(offset as usize..).unwrap_or_default();
        Ok(Bytes(rest[..rest.len().min(CHUNK_BYTES_MAX)].to_vec()))
    }

    async fn at(&self, at: At) -> Result<ModuleStub, Error> {
        self.who.owner_only("the mount's administration")?;
        let revision = past::revision_at(&self.shared, self.place(), at).await?;
        let (shared, who, binding) = (self.shared.clone(), self.who, self.binding.clone());
        Ok(ModuleStub(serve_module(Administration { shared, who, binding, at: Some(revision) })))
    }

    async fn history(&self, before: Option<u64>, limit: u32) -> Result<Steps, Error> {
        self.who.owner_only("the mount's administration")?;
        // Of a revision of the past: what came up to it.
        let end = self.at.map(|revision| revision.0.saturating_add(1));
        let before = before.into_iter().chain(end).min();
        past::history(&self.shared, self.place(), before, limit).await
    }

    async fn blame(&self, table: String, Bytes(key): Bytes) -> Result<Blamed, Error> {
        self.present_only()?;
        past::blame(&self.shared, self.place(), &table, &key).await
    }

    async fn replay(&self, to: Option<u64>) -> Result<Replayed, Error> {
        self.who.owner_only("the mount's administration")?;
        // It takes long, and others are not to wait for its end: what it uses is counted as it goes.
        drop(self.shared.governor.paced(self.shared.soon()).await?);
        past::replay(&self.shared, self.place(), to.or(self.at.map(|revision| revision.0))).await
    }

    async fn upgrade(&self, code: ContentHash, back: Option<ContentHash>) -> Result<Upgraded, Error> {
        self.present_only()?;
        let Some(planned) = migration::plan(&self.shared, self.who, &self.binding, (code, back)).await? else {
            return Ok(Upgraded { rows_to_move: None });
        };
        let schema_bytes = match &planned.upgrade {
            Request::Upgrade { module, .. } => module.schema.len(),
            _ => 0,
        };
        let demand = Demand::growing(schema_bytes);
        let _taken = self.shared.governor.admit(&self.shared.raft, demand).map_err(Full::refuse)?;
        match self.shared.mounts(planned.upgrade).await? {
            Outcome::Mounted { .. } => {
                links::heard(&self.shared, self.binding.mount).await;
                Ok(Upgraded { rows_to_move: None })
            }
            Outcome::Migrating { rows, .. } => Ok(Upgraded { rows_to_move: Some(rows) }),
            Outcome::Application { text, .. } => Err(Error::new(Code::Application, format!("upgrade: {text}"))),
            other => Err(unexpected(&other)),
        }
    }

    async fn migration(&self, code: ContentHash) -> Result<BoxStream<'static, Result<Migrated, Error>>, Error> {
        self.present_only()?;
        Ok(migration::follow(&self.shared, self.place(), code))
    }

    async fn try_upgrade(&self, code: ContentHash, back: Option<ContentHash>) -> Result<Migrated, Error> {
        self.present_only()?;
        // As for a replay.
        drop(self.shared.governor.paced(self.shared.soon()).await?);
        match migration::plan(&self.shared, self.who, &self.binding, (code, back)).await? {
            Some(planned) => migration::attempt(&self.shared, planned).await,
            None => Ok(Migrated { moved: 0, rows: 0 }),
        }
    }
}
