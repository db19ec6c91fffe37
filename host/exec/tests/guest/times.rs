//! The times of rows are the entry's, for the tables, the answers and the hooks alike.

use crate::mount::Mount;
use isx_row::Time;
use probe::visits::{Seen, Visit};

#[test]
fn times_are_the_entrys_whatever_a_guest_gives() {
    let mut mount = Mount::new();
    let visit = |count, came, changed| Visit { name: "ada".into(), came: Time(came), count, changed: Time(changed) };
    let mut at = |time| {
        mount.time = Time(time);
        let given = ("ada".to_owned(), Time(666));
        mount.reduce::<_, Visit>("come", given)
    };
    assert_eq!(at(1_000), visit(1, 1_000, 1_000));
    assert_eq!(at(2_000), visit(2, 1_000, 2_000));
    assert_eq!(at(2_500), visit(3, 1_000, 2_500));
    let seen: Vec<Seen> = mount.query("seen_by_hook", ());
    let expected = [
        Seen { id: 1, old: visit(1, 1_000, 1_000), new: visit(2, 1_000, 2_000) },
        Seen { id: 2, old: visit(2, 1_000, 2_000), new: visit(3, 1_000, 2_500) },
    ];
    assert_eq!(seen, expected);
    mount.root.audit().unwrap();
}
