//! A module's own errors and the system's reach the caller as what they are.

use crate::mount::Mount;
use isx_row::typed::decode_answer;
use isx_row::{Code, Typed};
use probe::accounts::Refusal;

fn refused(mount: &mut Mount, name: &str, arguments: impl Typed) -> (Code, Option<Refusal>) {
    let before = mount.root.state_hash();
    let done = mount.execute(name, &arguments);
    assert_eq!(mount.root.state_hash(), before, "what fails changes nothing");
    (done.outcome.unwrap_err().code, done.detail.map(|detail| decode_answer(&detail).unwrap()))
}

#[test]
fn own_errors_are_typed_and_the_systems_keep_their_code() {
    let mut mount = Mount::new();
    assert_eq!(mount.schema().reducer("withdraw").unwrap().error, Some(Refusal::ty()));
    let name = |name: &str| name.to_owned();
    mount.reduce::<_, ()>("open", (name("ada"), 1_u64, 10_u64));
    mount.reduce::<_, ()>("open", (name("bob"), 2_u64, 0_u64));
    assert_eq!(mount.reduce::<_, u64>("withdraw", (name("ada"), 4_u64)), 6);

    let own = |refusal| (Code::Application, Some(refusal));
    assert_eq!(refused(&mut mount, "withdraw", (name("ada"), 7_u64)), own(Refusal::TooLittle { balance: 6 }));
    assert_eq!(refused(&mut mount, "withdraw", (name("eve"), 1_u64)), own(Refusal::NoAccount));

    assert_eq!(refused(&mut mount, "open", (name("ada"), 3_u64, 1_u64)), (Code::Duplicate, None));
    assert_eq!(refused(&mut mount, "renumber", (name("ada"), 2_u64)), (Code::Duplicate, None));
    assert_eq!(refused(&mut mount, "renumber", (name("eve"), 9_u64)), (Code::NoRow, None));
    assert_eq!(refused(&mut mount, "withdraw", ("x".repeat(5_000), 1_u64)), (Code::Limit, None));
    mount.root.set_limits(isx_store::Limits { bytes_max: 1, rows_max: 9 });
    assert_eq!(refused(&mut mount, "open", (name("eve"), 3_u64, 1_u64)), (Code::Limit, None));
}
