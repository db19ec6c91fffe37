//! Following a view: its rows at one revision, then what becomes of them.
//!
//! A view's rows depend on its arguments, on who asks, and on what it read of the tables. So it runs again when a change
//! touches that, and what is told is how its rows then differ from those told before.

use super::parts;
use crate::gauges::{Follower, LiveBytes, LiveView};
use crate::limits::{FOLLOW_PROGRESS_REVISIONS, LIVE_CHANGES_MAX, LIVE_PAUSE};
use crate::planted::Bug;
use crate::shared::{Shared, mount_in};
use crate::source::{self, Source};
use isx_cluster::{MountView, QueryCall, Resume, View};
use isx_iface::table::{Changed, RowChange};
use isx_iface::{Item, Items};
use isx_port::Lane;
use isx_raft::{Follow, Group};
use isx_row::codec::{self, Layout};
use isx_row::schema::{Query, Table};
use isx_row::{Bytes, Code, Error, Incarnation, MountId, Revision, Signature, Type, key};
use isx_store::Reads;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// The view followed.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) group: Group,
    pub(crate) mount: MountId,
    pub(crate) call: QueryCall,
    shape: Arc<Shape>,
}

/// What the rows of a view are.
struct Shape {
    query: Query,
    rows: Table,
    answer: Layout,
    row: Layout,
}

/// A row as it is told, by its key.
type Rows = BTreeMap<Vec<u8>, Bytes>;
/// What a row costs beside its bytes.
const ROW_BYTES: usize = 96;

impl Asked {
    /// A view as its schema has it; none for a query that is no view.
    pub(crate) fn new(group: Group, mount: MountId, query: &Query, call: QueryCall) -> Option<Self> {
        let rows = query.rows()?;
        let answer = Layout::new([&query.answer]);
        let row = rows.layout(rows.version);
        // Who read the schema asks for what it was then.
        let signature = if call.signature == Signature::ANY { query.signature() } else { call.signature };
        let shape = Arc::new(Shape { query: query.clone(), rows, answer, row });
        Some(Self { group, mount, call: QueryCall { signature, ..call }, shape })
    }

    /// Refuses a mount whose view has become another: the executor sees to its signature.
    fn check(&self, mount: &MountView<'_>) -> Result<(), Error> {
        match mount.database().schema().query(&self.call.name) {
            Some(query) if query.key == self.shape.query.key => Ok(()),
            Some(_) => Err(Error::new(Code::StaleBindings, format!("view {} is another now", self.call.name))),
            None => Err(Error::new(Code::Gone, format!("view {} is not there any more", self.call.name))),
        }
    }
}

impl Shape {
    /// The rows of an answer, in its order, each with its key.
    fn rows(&self, answer: &[u8]) -> Result<Vec<(Vec<u8>, Bytes)>, Error> {
        let name = &self.rows.name;
        let malformed = |why: &dyn std::fmt::Display| Error::new(Code::Malformed, format!("view {name}: {why}"));
        let Type::List(element) = &self.query.answer else { return Err(malformed(&"it answers no list")) };
        let list = self.answer.member(answer, 0).unwrap_or_default();
        let elements = codec::elements(element, list).map_err(|error| malformed(&error))?;
        let row = |element: &&[u8]| {
            let mut row = self.rows.version.to_le_bytes().to_vec();
            row.extend_from_slice(element);
            let mut bytes = Vec::new();
            for &position in &self.rows.primary_key {
                let column = self.rows.columns.get(usize::from(position));
                let member = self.row.member(&row, usize::from(position));
                let (column, member) = column.zip(member).ok_or_else(|| malformed(&"its key is not of its rows"))?;
                key::append(&column.ty, member, &mut bytes).map_err(|error| malformed(&error))?;
            }
            Ok((bytes, Bytes(row)))
        };
        elements.iter().map(row).collect()
    }
}

/// The items of a view after a cursor, or from its rows now. A view that fails ends them: who opens them again goes on from its
/// cursor.
///
/// # Errors
/// `gone` when the mount is no longer there, `busy` over [`LIVE_VIEWS_MAX`](crate::limits::LIVE_VIEWS_MAX).
pub(crate) fn follow(
    shared: &Arc<Shared>,
    asked: Asked,
    after: Option<(Incarnation, Revision)>,
) -> Result<Items, Error> {
    let counted = (shared.gauges.follower(), Arc::new(shared.gauges.live_view()?));
    // Followed before the first look, so that nothing falls between.
    let follow = shared.raft.follow(asked.group)?;
    let view = shared.raft.view(asked.group)?;
    mount_in(&view, &asked.mount)?;
    let ready = VecDeque::new();
    let following = Following { shared: Arc::clone(shared), follow, view, asked, after, told: None, ready, counted };
    Ok(source::stream(following))
}

struct Following {
    shared: Arc<Shared>,
    follow: Follow,
    /// The newest version seen.
    view: View,
    asked: Asked,
    /// Where the follower says that it is; looked at once.
    after: Option<(Incarnation, Revision)>,
    /// What the follower has.
    told: Option<Told>,
    ready: VecDeque<Item>,
    /// Counted until it is dropped, and the last of its jobs has run.
    counted: (Follower, Arc<LiveView>),
}

struct Told {
    rows: Rows,
    /// What they depend on.
    reads: Reads,
    /// The cursor told last.
    cursor: (Incarnation, Revision),
    /// Nothing up to here has touched what they depend on.
    through: Revision,
    _bytes: LiveBytes,
}

/// What is to be done at a version.
enum Next {
    /// The view is to run.
    Ask,
    /// The follower is to hear how far the mount is.
    Progress,
    /// Nothing, until the next version.
    Wait,
}

impl Source for Following {
    type Item = Item;

    async fn next(&mut self) -> Option<Result<Item, Error>> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Some(Ok(item));
            }
            let done = match self.advance() {
                Ok(Next::Ask) => self.ask().await,
                Ok(Next::Progress) => self.progress(),
                Ok(Next::Wait) => {
                    self.view = self.follow.next().await?.view;
                    Ok(())
                }
                Err(error) => Err(error),
            };
            if let Err(error) = done {
                return Some(Err(error));
            }
        }
    }
}

impl Following {
    /// Looks through what came since the last look.
    fn advance(&mut self) -> Result<Next, Error> {
        let mount = mount_in(&self.view, &self.asked.mount)?;
        let Some(told) = &mut self.told else {
            // Who was told more by another replica is told nothing until this one is as far.
            let ahead = self.after.filter(|after| after.0 == mount.incarnation() && after.1 > mount.revision());
            return Ok(if ahead.is_some() { Next::Wait } else { Next::Ask });
        };
        let is_heard = !self.shared.planted.has(Bug::ViewUnheard);
        if told.cursor.0 != mount.incarnation() || is_heard && is_touched(&mount, &told.reads, told.through) {
            return Ok(Next::Ask);
        }
        // A replica that is behind what was told has nothing to tell.
        told.through = told.through.max(mount.revision());
        let is_far = told.through.0 - told.cursor.1.0 >= FOLLOW_PROGRESS_REVISIONS;
        Ok(if is_far { Next::Progress } else { Next::Wait })
    }

    /// Says how far the mount is, so that the follower's cursor stays within the ring.
    fn progress(&mut self) -> Result<(), Error> {
        if let Some(told) = &mut self.told {
            let before = told.cursor;
            told.cursor.1 = told.through;
            self.ready = parts(told.cursor, before, false, Vec::new())?;
        }
        Ok(())
    }

    /// Runs the view, and makes ready how its rows differ.
    async fn ask(&mut self) -> Result<(), Error> {
        let paced = Arc::clone(&self.shared);
        let _running = loop {
            match paced.governor.paced(paced.soon()).await {
                // Nobody waits for an answer: it is told when there is time for it.
                Err(error) if error.code == Code::Busy => {
                    paced.ports.clock.sleep_until(paced.ports.clock.now().after(LIVE_PAUSE)).await;
                }
                running => break running?,
            }
        };
        // What came while it waited need not be waited for again.
        self.view = self.shared.raft.view(self.asked.group)?;
        let (shared, asked, view) = (Arc::clone(&self.shared), self.asked.clone(), self.view.clone());
        let (told, after, counted) = (self.told.take(), self.after.take(), Arc::clone(&self.counted.1));
        let run = move || {
            let mount = mount_in(&view, &asked.mount)?;
            asked.check(&mount)?;
            let (answer, reads) = mount.rows(&*shared.metered, &asked.call)?;
            let told = asked.tell(&shared, &mount, (&answer, reads), (told, after));
            drop(counted);
            told
        };
        let (told, ready) = self.shared.on(Lane::View(self.asked.group.0), run).await?;
        (self.told, self.ready) = (Some(told), ready);
        Ok(())
    }
}

impl Asked {
    /// What a follower has now, and what it is to hear for that: it was told this before, or comes with that cursor.
    fn tell(
        &self,
        shared: &Shared,
        mount: &MountView<'_>,
        (answer, reads): (&[u8], Reads),
        (told, after): (Option<Told>, Option<(Incarnation, Revision)>),
    ) -> Result<(Told, VecDeque<Item>), Error> {
        let cursor = (mount.incarnation(), mount.revision());
        let ordered = self.shape.rows(answer)?;
        let mut rows = Rows::new();
        for (key, row) in &ordered {
            if rows.insert(key.clone(), row.clone()).is_some() {
                let text = format!("view {} gives two rows with one key", self.call.name);
                return Err(Error::new(Code::Malformed, text));
            }
        }
        let bytes = rows.iter().map(|(key, row)| key.len() + row.0.len() + ROW_BYTES).sum();
        let bytes = shared.gauges.live_bytes(bytes)?;
        // What it comes with stands while nothing touched what the rows depend on now.
        let is_new = |reads: &Reads, after| is_touched(mount, reads, after) && !shared.planted.has(Bug::ViewResumes);
        let resumed = after.filter(|after| after.0 == cursor.0 && !is_new(&reads, after.1));
        let told = told.filter(|told| told.cursor.0 == cursor.0);
        let through = cursor.1;
        let (cursor, ready) = match (resumed, told) {
            (Some(resumed), _) => (resumed, VecDeque::new()),
            (None, Some(told)) => match differences(&told.rows, &rows) {
                none if none.is_empty() => (told.cursor, VecDeque::new()),
                changes => (cursor, parts(cursor, told.cursor, false, changes)?),
            },
            (None, None) => {
                let present = |(_, row)| Changed { what: RowChange::Present, old: None, new: Some(row) };
                // Only with the last part the rows are whole: who is cut off before has nothing to continue from.
                (cursor, parts(cursor, Default::default(), true, ordered.into_iter().map(present).collect())?)
            }
        };
        Ok((Told { rows, reads, cursor, through, _bytes: bytes }, ready))
    }
}

/// Whether something after a revision may have made what was read there another, the module too. Where too much came since to
/// look through, it may have.
fn is_touched(mount: &MountView<'_>, reads: &Reads, mut after: Revision) -> bool {
    if after >= mount.revision() {
        return false;
    }
    if after < mount.module_since() {
        return true;
    }
    let mut left = LIVE_CHANGES_MAX;
    loop {
        match mount.changes_after(mount.incarnation(), after) {
            Resume::Continue { through, .. } if through == after => return false,
            Resume::Continue { transactions, through } => {
                for change in transactions.iter().flat_map(|transaction| transaction.changes.iter()) {
                    left = left.saturating_sub(1);
                    if left == 0 || reads.is_touched(mount.database(), change) {
                        return true;
                    }
                }
                after = through;
            }
            Resume::Reset(_) => return true,
            Resume::Ahead(_) => return false,
        }
    }
}

/// What makes the rows before into those after.
fn differences(before: &Rows, after: &Rows) -> Vec<Changed> {
    let gone = before.iter().filter(|(key, _)| !after.contains_key(*key));
    let gone = gone.map(|(_, row)| Changed { what: RowChange::Delete, old: Some(row.clone()), new: None });
    let came = after.iter().filter_map(|(key, row)| match before.get(key) {
        None => Some(Changed { what: RowChange::Insert, old: None, new: Some(row.clone()) }),
        Some(old) if old != row => {
            Some(Changed { what: RowChange::Update, old: Some(old.clone()), new: Some(row.clone()) })
        }
        Some(_) => None,
    });
    gone.chain(came).collect()
}
