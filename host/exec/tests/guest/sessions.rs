//! Rows of sessions: whose they are is the host's to say.

use crate::mount::{Mount, call, hook};
use isx_row::typed::{decode_answer, encode_arguments};
use isx_row::{Code, SessionId};
use isx_store::{Cause, Invocation};
use probe::online::Online;

const WHO: SessionId = SessionId([1; 16]);

#[test]
fn a_row_is_of_the_session_that_calls_whatever_a_guest_gives() {
    let mut mount = Mount::new();
    let name = encode_arguments(&("ada".to_string(),)).unwrap();
    let appear = Invocation { session: Some(WHO), ..call("appear", &name) };
    let online: Online = decode_answer(&mount.run(&appear).outcome.unwrap()).unwrap();
    assert_eq!(online, Online { session: WHO, name: "ada".into() });
    assert_eq!(mount.run(&appear).outcome.unwrap_err().code, Code::Duplicate);
    assert_eq!(mount.run(&call("appear", &name)).outcome.unwrap_err().code, Code::BadArguments, "without a session");

    let leave = |session| Invocation { session: Some(session), ..hook(Cause::Hook, "on_disconnect", &[0, 0]) };
    mount.run(&leave(WHO)).outcome.unwrap();
    mount.run(&leave(SessionId([2; 16]))).outcome.unwrap();
    assert_eq!(mount.query::<_, u64>("passed", ("out".to_string(),)), 1);
    assert_eq!(mount.query::<_, u64>("passed", ("out without a name".to_string(),)), 1);
}
