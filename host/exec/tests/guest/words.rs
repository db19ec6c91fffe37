//! Hash maps iterate alike in every instance, and the crate `log` is heard in every call.

use crate::mount::Mount;
use isx_row::typed::{decode_answer, encode_arguments};

fn words() -> Vec<String> {
    (0..100).map(|number| format!("word {}", number % 70)).collect()
}

#[test]
fn maps_iterate_alike_in_every_instance() {
    let mut mount = Mount::new();
    let orders: Vec<Vec<String>> = mount.query("in_order_of_sets", (words(),));
    assert_eq!((orders.len(), orders[0].len()), (2, 70));
    assert_eq!(orders[0], orders[1]);
    assert_ne!(orders[0], words()[..70], "a hash set does not keep the order of insertion");
    let again: Vec<Vec<String>> = Mount::new().query("in_order_of_sets", (words(),));
    assert_eq!(orders, again);

    let once: Vec<(String, u64)> = mount.reduce("counted", (words(),));
    // In an instance whose memory has another past.
    let [_, _, used] = mount.execute_all([
        ("say", encode_arguments(&("x".repeat(10_000),)).unwrap()),
        ("counted", encode_arguments(&(words().split_off(30),)).unwrap()),
        ("counted", encode_arguments(&(words(),)).unwrap()),
    ]);
    assert_eq!(decode_answer(&used.outcome.unwrap()), Ok(once.clone()));
    assert_eq!(once.iter().map(|(_, count)| count).sum::<u64>(), 100);
}

#[test]
fn the_crate_log_is_heard_in_every_call_of_an_instance() {
    let mut mount = Mount::new();
    let said = mount.execute_all(["a", "b"].map(|text| ("say", encode_arguments(&(text.to_owned(),)).unwrap())));
    for (done, text) in said.iter().zip(["a", "b"]) {
        let mut expected: Vec<(u8, String)> = (1..=5).map(|level| (level, format!("{text} {level}"))).collect();
        expected.push((3, "as it is".into()));
        expected.push((2, format!("{text} of isx")));
        assert_eq!(done.log, expected);
    }
    // The first call of an instance makes ready for all, and its caller pays.
    assert!(said[1].fuel < said[0].fuel);
}
