//! Scans of every kind give what a sorted list gives, over many chunks and either way.

use crate::mount::Mount;
use probe::items::{Item, Which};

const TEXTS: [&str; 10] = ["", "a", "a\0", "a\0b", "ab", "abc", "b", "ba", "\u{e4}", "\u{10ffff}"];

/// Numbers that are the same in every run (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % end
    }

    fn text(&mut self) -> String {
        let mut text = TEXTS[self.below(10) as usize].to_owned();
        text.push_str(TEXTS[self.below(10) as usize]);
        text
    }

    fn room(&mut self) -> u8 {
        self.below(4) as u8
    }

    fn rank(&mut self) -> i16 {
        self.below(4) as i16 - 2
    }

    fn which(&mut self) -> Which {
        match self.below(10) {
            0 => Which::Between((self.room(), self.text()), (self.room(), self.text())),
            1 => Which::After(self.room(), self.text()),
            2 => Which::InRoomFrom(self.room(), self.text()),
            3 => Which::InRoomNamed(self.room(), self.text()),
            9 => Which::InRoomAfter(self.room(), self.text()),
            4 => Which::Rooms(self.room(), self.room()),
            5 => Which::Labelled(self.text()),
            6 => Which::RankedBetween(self.rank(), self.text(), self.text()),
            7 => Which::RankedLabelled(self.rank(), self.text()),
            _ => Which::RanksBelow(self.rank()),
        }
    }
}

fn takes(which: &Which, item: &Item) -> bool {
    let key = (item.room, &item.name);
    match which {
        Which::Between(from, to) => (from.0, &from.1) <= key && key < (to.0, &to.1),
        Which::After(room, name) => key > (*room, name),
        Which::InRoomFrom(room, name) => item.room == *room && item.name >= *name,
        Which::InRoomNamed(room, text) => item.room == *room && item.name.starts_with(text),
        Which::InRoomAfter(room, name) => item.room == *room && item.name > *name,
        Which::Rooms(from, to) => (*from..=*to).contains(&item.room),
        Which::Labelled(text) => item.label.starts_with(text),
        Which::RankedBetween(rank, from, to) => item.rank == *rank && (from..to).contains(&&item.label),
        Which::RankedLabelled(rank, text) => item.rank == *rank && item.label.starts_with(text),
        Which::RanksBelow(rank) => item.rank < *rank,
    }
}

fn expected(items: &[Item], which: &Which) -> Vec<Item> {
    let mut found: Vec<Item> = items.iter().filter(|item| takes(which, item)).cloned().collect();
    found.sort_by_key(|item| {
        let key = (item.room, item.name.clone());
        match which {
            Which::Labelled(_) => (0, item.label.clone(), key),
            Which::RankedBetween(..) | Which::RankedLabelled(..) | Which::RanksBelow(_) => {
                (item.rank, item.label.clone(), key)
            }
            _ => (0, String::new(), key),
        }
    });
    found
}

#[test]
fn scans_are_those_of_a_sorted_list() {
    let mut numbers = Numbers(7);
    let mut items: Vec<Item> = Vec::new();
    for number in 0..900 {
        let name = format!("{}{}", numbers.text(), number % 7);
        let item = Item { room: numbers.room(), name, rank: numbers.rank(), label: numbers.text() };
        if items.iter().all(|other| (other.room, &other.name) != (item.room, &item.name)) {
            items.push(item);
        }
    }
    let mut mount = Mount::new();
    mount.reduce::<_, ()>("store", (items.clone(),));
    let (mut longest, mut some) = (0, 0);
    for _ in 0..400 {
        let (which, reverse) = (numbers.which(), numbers.below(2) == 1);
        let count = [0, 1, 31, 32, 33, 200, u32::MAX][numbers.below(7) as usize];
        let mut expected = expected(&items, &which);
        if reverse {
            expected.reverse();
        }
        expected.truncate(count as usize);
        let found: Vec<Item> = mount.query("items", (which.clone(), reverse, count));
        assert_eq!(found, expected, "{which:?}, reverse: {reverse}, the first {count}");
        longest = longest.max(found.len());
        some += usize::from(!found.is_empty());
    }
    assert!(longest > 32 * 5 && some > 200, "the scans were too short to tell: {longest} rows, {some} with any");
}

#[test]
fn no_more_is_fetched_than_is_taken() {
    const LABEL_BYTES: usize = 1_900;
    let mut mount = Mount::new();
    let item = |number: u16| Item { room: 0, name: number.to_string(), rank: 0, label: "x".repeat(LABEL_BYTES) };
    mount.reduce::<_, ()>("store", ((0..100).map(item).collect::<Vec<_>>(),));
    let three = |fuel| mount.query_within::<_, Vec<Item>>(fuel, "items", (Which::Rooms(0, 9), false, 3_u32));
    let enough = (1..).map(|thousands| thousands * 1_000).find(|fuel| three(*fuel).is_ok()).unwrap();
    // Every byte that the host gives out costs fuel: a whole first chunk alone would cost more.
    assert!(enough < 32 * LABEL_BYTES as u64, "{enough}");
}
